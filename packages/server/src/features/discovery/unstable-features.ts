/** Features that `GET /versions` names besides the versions of the specification. */

/** The versions of the specification that the server speaks. */
export const specVersions: readonly string[] = [
  'r0.0.1', 'r0.1.0', 'r0.2.0', 'r0.3.0', 'r0.4.0', 'r0.5.0', 'r0.6.0', 'r0.6.1',
  ...Array.from({ length: 19 }, (_, index) => `v1.${index + 1}`),
]

/** What decides on features. */
export interface FeatureRules {
  readonly loginTokens: boolean
  readonly delayedEvents: boolean
  /** Whether devices can meet by plain HTTP, here or elsewhere. */
  readonly plainRendezvous: boolean
  /** Whether an entry of `experimental_features` is true. */
  readonly isExperimental: (flag: string) => boolean
  /** Presets of rooms that are encrypted by default. */
  readonly encryptedPresets: readonly string[]
}

const served = [
  'org.matrix.label_based_filtering', 'org.matrix.e2e_cross_signing', 'org.matrix.msc2432', 'uk.half-shot.msc2666.query_mutual_rooms.stable',
  'org.matrix.msc2285.stable', 'org.matrix.msc3827.stable', 'org.matrix.msc3440.stable', 'org.matrix.msc3771', 'fi.mau.msc2659.stable',
  'org.matrix.msc3981', 'uk.tcpip.msc4133', 'uk.tcpip.msc4133.stable', 'org.matrix.msc4380.stable',
  'org.matrix.msc4445.initial_sync_timeline_topological_ordering', 'org.matrix.simplified_msc3575',
]
/** Features with the entries of `experimental_features` that turn them on. */
const experimental: Readonly<Record<string, string>> = {
  'org.matrix.msc3026.busy_presence': 'msc3026_enabled', 'fi.mau.msc2815': 'msc2815_enabled', 'org.matrix.msc3874': 'msc3874_enabled',
  'org.matrix.msc3912': 'msc3912_enabled', 'org.matrix.msc3391': 'msc3391_enabled', 'com.beeper.msc4169': 'msc4169_enabled',
  'org.matrix.msc4143': 'msc4143_enabled', 'org.matrix.msc4306': 'msc4306_enabled', 'org.matrix.msc4354': 'msc4354_enabled',
}
const absent = [
  'org.matrix.msc3773', 'org.matrix.msc3881', 'org.matrix.msc4069', 'org.matrix.msc4028', 'org.matrix.msc4155',
  'org.matrix.msc4262', 'org.matrix.msc4429', 'uk.timedout.msc4491.create_room_invite_reasons', 'com.beeper.msc4446',
  'io.element.msc4502',
]

/** Features by name, and whether they are there. */
export function unstableFeatures(rules: FeatureRules): Readonly<Record<string, boolean>> {
  return {
    ...Object.fromEntries(served.map((name) => [name, true])),
    ...Object.fromEntries(absent.map((name) => [name, false])),
    ...Object.fromEntries(Object.entries(experimental).map(([name, flag]) => [name, rules.isExperimental(flag)])),
    'org.matrix.msc3882': rules.loginTokens,
    'org.matrix.msc4140': rules.delayedEvents,
    'org.matrix.msc4108': rules.plainRendezvous,
    'io.element.e2ee_forced.public': rules.encryptedPresets.includes('public_chat'),
    'io.element.e2ee_forced.private': rules.encryptedPresets.includes('private_chat'),
    'io.element.e2ee_forced.trusted_private': rules.encryptedPresets.includes('trusted_private_chat'),
  }
}
