/** Options of rooms. */
import { checked, choice, mapping, string } from '#platform/config/kind.ts'
import { limit, option, options } from '#platform/config/option.ts'
import { getRoomVersion, listRoomVersions } from '@myelin/protocol/rooms/versions.ts'

function knownVersion(id: string): string | undefined {
  if (getRoomVersion(id)) return undefined
  return `Write one of the room versions ${listRoomVersions().map((version) => version.id).join(', ')}.`
}

export const roomsOptions = options({
  default_room_version: option(checked(string, knownVersion), { default: '12', doc: 'Version of new rooms.', effective: true }),
  encryption_enabled_by_default_for_room_type: option(choice('all', 'invite', 'off'), {
    default: 'off',
    doc: 'Auto m.room.encryption for new rooms.',
    effective: true,
  }),
  default_power_level_content_override: option(mapping, { default: {}, doc: 'Per preset power_levels override.', effective: true }),
  rc_room_creation: limit(0.016, 10, { doc: 'Room creations per user.', effective: true }),
})
