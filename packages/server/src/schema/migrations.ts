/** All migrations in order, listed by hand. */
import type { Migration } from './migration.ts'
import { rooms } from './migrations/0001-rooms.ts'
import { accounts } from './migrations/0002-accounts.ts'
import { messages } from './migrations/0005-messages.ts'

export const migrations: readonly Migration[] = [rooms, accounts, messages]
