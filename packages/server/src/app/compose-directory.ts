/** Builds the slices that find rooms, events and users: directory, relations, spaces, user directory. */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { AccountData } from '#features/account-data/account-data.ts'
import type { Accounts } from '#features/accounts/accounts.ts'
import { Directory } from '#features/directory/directory.ts'
import type { DirectoryDoorRules } from '#features/directory/directory.routes.ts'
import { PublicRooms } from '#features/directory/public-rooms.ts'
import type { RemoteDirectory } from '#features/directory/remote-directory.ts'
import { PublishedRooms } from '#features/directory/published-rooms.ts'
import type { Profiles } from '#features/profiles/profiles.ts'
import { Relations } from '#features/relations/relations.ts'
import { Threads } from '#features/relations/threads.ts'
import { RoomSummaries } from '#features/room-summaries/room-summaries.ts'
import type { RemoteSpaces } from '#features/spaces/remote-spaces.ts'
import { Spaces } from '#features/spaces/spaces.ts'
import { UserDirectory } from '#features/user-directory/user-directory.ts'
import type { CacheBudget } from '#platform/cache/cache.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database } from '#platform/db/database.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Engine } from './compose-engine.ts'
import type { Config } from './config.ts'

interface Inputs {
  readonly config: Config
  readonly database: Database
  readonly caches: CacheBudget
  readonly clock: Clock
  readonly serverName: string
  readonly engine: Engine
  readonly accounts: Accounts
  readonly accountData: AccountData
  readonly profiles: Profiles
  readonly remote: RemoteDirectory
  readonly remoteSpaces: RemoteSpaces
  readonly logger: (name: string) => Logger
  /** Place in the events stream of a token of `/sync`. */
  readonly syncPosition: (token: string) => number | undefined
  readonly stack: AsyncDisposableStack
}

/** Services that find rooms, events and users. */
export function composeDirectory(inputs: Inputs) {
  const { config, engine, accounts, accountData, profiles, serverName, stack } = inputs
  const directory = new Directory({
    ...inputs, ...engine,
    isAdmin: async (userId: UserId) => (await accounts.get(userId))?.isAdmin ?? false,
    requireMembership: config.require_membership_for_aliases,
    aliasRules: config.alias_creation_rules,
    publicationRules: config.room_list_publication_rules,
  })
  const roomSummaries = new RoomSummaries({ ...inputs, ...engine })
  const published = new PublishedRooms({ ...engine, publications: directory, summaries: roomSummaries })
  const publicRooms = new PublicRooms({ published, serverName, remote: inputs.remote, isSearchEnabled: config.enable_room_list_search })
  const directoryRules: DirectoryDoorRules = {
    allowPublicRoomsWithoutAuth: config.allow_public_rooms_without_auth, allowPublicRoomsOverFederation: config.allow_public_rooms_over_federation,
  }
  const relations = new Relations({ ...inputs, ...engine, ignoredUsers: accountData, position: () => engine.eventsStream.position })
  engine.persister.addParticipant(relations)
  engine.purging.addParticipant(relations)
  engine.clientEvents.addSource(relations.aggregations)
  const threads = new Threads({ ...engine, ignoredUsers: accountData, relations })
  const spaces = new Spaces({ ...engine, clock: inputs.clock, summaries: roomSummaries, remote: inputs.remoteSpaces })
  const rules = config.user_directory
  const userDirectory = new UserDirectory({
    ...inputs, ...engine, logger: inputs.logger('synapse.handlers.user_directory'),
    rules: {
      isEnabled: rules.enabled, searchAllUsers: rules.search_all_users, preferLocalUsers: rules.prefer_local_users,
      excludeRemoteUsers: rules.exclude_remote_users, showLockedUsers: rules.show_locked_users,
    },
  })
  engine.persister.addParticipant(userDirectory)
  for (const participant of [directory, relations, userDirectory]) engine.roomPurging.addParticipant(participant)
  profiles.onChanged((userId, profile) => userDirectory.profileChanged(userId, profile))
  stack.defer(() => userDirectory.settled())
  return { directory, directoryRules, roomSummaries, publicRooms, relations, threads, spaces, userDirectory }
}
