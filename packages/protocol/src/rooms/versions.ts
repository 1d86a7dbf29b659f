/**
 * Room versions 1 to 12 as records of rules; each is "the previous one, except …".
 *
 * Spec: rooms/v1 … rooms/v12.
 */

/** What the redaction algorithm keeps of an event. */
export interface RedactionRules {
  /** Top-level keys that survive. */
  readonly topLevel: readonly string[]
  /** By event type: the keys of `content` that survive, or all of them. */
  readonly content: Readonly<Record<string, readonly string[] | 'all'>>
  /** By event type: a key of `content` of which only the named members survive. */
  readonly nested: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>
}

/** The rules of one room version. Algorithms take this record; nobody compares version numbers. */
export interface RoomVersion {
  readonly id: string
  /** Where event ids come from: a field of the event, or its reference hash in one of two alphabets. */
  readonly eventIds: 'field' | 'hash-base64' | 'hash-base64url'
  readonly stateResolution: 'v1' | 'v2' | 'v2.1'
  /** Whether `valid_until_ts` of signing keys is enforced (v5). */
  readonly keyValidity: boolean
  /** Whether integers out of range and floats make an event invalid (v6). */
  readonly strictCanonicalJson: boolean
  /** Whether `m.room.aliases` has its own auth rule (up to v5). */
  readonly aliasesRule: boolean
  /** Whether auth rules decide on redactions by power or same domain (v1 and v2), instead of at application (v3). */
  readonly redactionAuthRule: boolean
  /** Whether changes of `notifications` in power levels are checked (v6). */
  readonly notificationLevels: boolean
  /** Whether `knock` exists as membership and join rule (v7). */
  readonly knocking: boolean
  /** Whether the join rule `restricted` exists (v8). */
  readonly restrictedJoins: boolean
  /** Whether the join rule `knock_restricted` exists (v10). */
  readonly knockRestricted: boolean
  /** Whether power levels must be integers; strings were read as numbers before (v10). */
  readonly integerPowerLevels: boolean
  /** Whether the creator is `content.creator` of the create event (up to v10), or its sender (v11). */
  readonly creatorField: boolean
  /** Whether `redacts` is in `content` (v11). */
  readonly redactsInContent: boolean
  /** Whether the room id is the create event's hash and the create event is implied in auth_events (v12). */
  readonly roomIdIsCreateHash: boolean
  /** Whether creators have infinite power, and `additional_creators` exists (v12). */
  readonly privilegedCreators: boolean
  readonly redaction: RedactionRules
}

const topLevelV1 = [
  'event_id', 'type', 'room_id', 'sender', 'state_key', 'content', 'hashes', 'signatures', 'depth',
  'prev_events', 'prev_state', 'auth_events', 'origin', 'origin_server_ts', 'membership',
] as const

const v1: RoomVersion = {
  id: '1',
  eventIds: 'field',
  stateResolution: 'v1',
  keyValidity: false,
  strictCanonicalJson: false,
  aliasesRule: true,
  redactionAuthRule: true,
  notificationLevels: false,
  knocking: false,
  restrictedJoins: false,
  knockRestricted: false,
  integerPowerLevels: false,
  creatorField: true,
  redactsInContent: false,
  roomIdIsCreateHash: false,
  privilegedCreators: false,
  redaction: {
    topLevel: topLevelV1,
    content: {
      'm.room.member': ['membership'],
      'm.room.create': ['creator'],
      'm.room.join_rules': ['join_rule'],
      'm.room.power_levels': ['ban', 'events', 'events_default', 'kick', 'redact', 'state_default', 'users', 'users_default'],
      'm.room.aliases': ['aliases'],
      'm.room.history_visibility': ['history_visibility'],
    },
    nested: {},
  },
}

/** `rules` with the content keys of some event types replaced; `undefined` removes a type. */
function keeping(rules: RedactionRules, changes: Record<string, readonly string[] | 'all' | undefined>): RedactionRules {
  const content: Record<string, readonly string[] | 'all'> = { ...rules.content }
  for (const [type, keys] of Object.entries(changes)) {
    if (keys === undefined) delete content[type]
    else content[type] = keys
  }
  return { ...rules, content }
}

const v2: RoomVersion = { ...v1, id: '2', stateResolution: 'v2' }
const v3: RoomVersion = { ...v2, id: '3', eventIds: 'hash-base64', redactionAuthRule: false }
const v4: RoomVersion = { ...v3, id: '4', eventIds: 'hash-base64url' }
const v5: RoomVersion = { ...v4, id: '5', keyValidity: true }
const v6: RoomVersion = {
  ...v5,
  id: '6',
  strictCanonicalJson: true,
  aliasesRule: false,
  notificationLevels: true,
  redaction: keeping(v5.redaction, { 'm.room.aliases': undefined }),
}
const v7: RoomVersion = { ...v6, id: '7', knocking: true }
const v8: RoomVersion = {
  ...v7,
  id: '8',
  restrictedJoins: true,
  redaction: keeping(v7.redaction, { 'm.room.join_rules': ['join_rule', 'allow'] }),
}
const v9: RoomVersion = {
  ...v8,
  id: '9',
  redaction: keeping(v8.redaction, { 'm.room.member': ['membership', 'join_authorised_via_users_server'] }),
}
const v10: RoomVersion = { ...v9, id: '10', knockRestricted: true, integerPowerLevels: true }
const v11: RoomVersion = {
  ...v10,
  id: '11',
  creatorField: false,
  redactsInContent: true,
  redaction: {
    topLevel: topLevelV1.filter((key) => !['prev_state', 'origin', 'membership'].includes(key)),
    content: keeping(v10.redaction, {
      'm.room.create': 'all',
      'm.room.power_levels': ['ban', 'events', 'events_default', 'invite', 'kick', 'redact', 'state_default', 'users', 'users_default'],
      'm.room.redaction': ['redacts'],
    }).content,
    nested: { 'm.room.member': { third_party_invite: ['signed'] } },
  },
}
const v12: RoomVersion = {
  ...v11,
  id: '12',
  stateResolution: 'v2.1',
  roomIdIsCreateHash: true,
  privilegedCreators: true,
}

const versions: ReadonlyMap<string, RoomVersion> = new Map([v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12].map((version) => [version.id, version]))

/** The record of a room version, or undefined where this server does not know it. */
export function getRoomVersion(id: string): RoomVersion | undefined {
  return versions.get(id)
}

/** All supported room versions in order. */
export function listRoomVersions(): readonly RoomVersion[] {
  return [...versions.values()]
}
