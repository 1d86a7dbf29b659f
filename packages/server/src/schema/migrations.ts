/** All migrations in order, listed by hand. */
import type { Migration } from './migration.ts'
import { rooms } from './migrations/0001-rooms.ts'

export const migrations: readonly Migration[] = [rooms]
