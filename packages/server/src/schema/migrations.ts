/** All migrations in order, listed by hand. */
import type { BackgroundUpdate } from './background-update.ts'
import type { Migration } from './migration.ts'
import { rooms } from './migrations/0001-rooms.ts'
import { accounts } from './migrations/0002-accounts.ts'
import { keys } from './migrations/0003-keys.ts'
import { accountData } from './migrations/0004-account-data.ts'
import { messages } from './migrations/0005-messages.ts'
import { media } from './migrations/0006-media.ts'
import { directory } from './migrations/0007-directory.ts'
import { consumers } from './migrations/0008-consumers.ts'
import { toDeviceInboxes } from './migrations/0009-to-device-inboxes.ts'
import { slidingSync } from './migrations/0010-sliding-sync.ts'
import { search } from './migrations/0011-search.ts'
import { threadSubscriptions } from './migrations/0012-thread-subscriptions.ts'
import { keyBackupByRoom } from './migrations/0013-key-backup-by-room.ts'
import { delayedEvents } from './migrations/0014-delayed-events.ts'
import { federation } from './migrations/0015-federation.ts'
import { consent } from './migrations/0016-consent.ts'
import { roomRoots } from './migrations/0017-room-roots.ts'
import { remoteMedia } from './migrations/0018-remote-media.ts'
import { roomPurging } from './migrations/0019-room-purging.ts'
import { transactions } from './migrations/0020-transactions.ts'
import { strippedStates } from './migrations/0021-stripped-states.ts'
import { deviceEdus } from './migrations/0022-device-edus.ts'
import { stickyEvents } from './migrations/0023-sticky-events.ts'

export const migrations: readonly Migration[] = [
  rooms, accounts, keys, accountData, messages, media, directory, consumers, toDeviceInboxes, slidingSync, search, threadSubscriptions,
  keyBackupByRoom, delayedEvents, federation, consent, roomRoots, remoteMedia, roomPurging, transactions, strippedStates, deviceEdus, stickyEvents,
]

/** The background updates of all migrations. */
export const backgroundUpdates: readonly BackgroundUpdate[] = migrations.flatMap(({ background }) => background ?? [])
