/**
 * Presets of room creation.
 *
 * Spec: client-server API, `POST /createRoom`, "preset".
 */
import type { JsonObject } from '@myelin/protocol/json/json.ts'

export type Preset = 'private_chat' | 'trusted_private_chat' | 'public_chat'

/** State that each preset sets, by type. Guests are kept out of public rooms by the absence of `m.room.guest_access`. */
export const presetState: Readonly<Record<Preset, Readonly<Record<string, JsonObject>>>> = {
  private_chat: {
    'm.room.join_rules': { join_rule: 'invite' },
    'm.room.history_visibility': { history_visibility: 'shared' },
    'm.room.guest_access': { guest_access: 'can_join' },
  },
  trusted_private_chat: {
    'm.room.join_rules': { join_rule: 'invite' },
    'm.room.history_visibility': { history_visibility: 'shared' },
    'm.room.guest_access': { guest_access: 'can_join' },
  },
  public_chat: {
    'm.room.join_rules': { join_rule: 'public' },
    'm.room.history_visibility': { history_visibility: 'shared' },
  },
}
