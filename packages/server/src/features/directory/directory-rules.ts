/**
 * Ordered rules about who may make aliases and publish rooms: the first that matches decides.
 *
 * Spec: none; options `alias_creation_rules` and `room_list_publication_rules`.
 */
import { compileGlob } from '@myelin/protocol/acl/glob.ts'

/** A rule as it is configured: globs, of which a missing one matches everything. */
export interface DirectoryRule {
  readonly user_id: string | null
  readonly alias: string | null
  readonly room_id: string | null
  readonly action: 'allow' | 'deny'
}

/** What a rule is asked about. */
export interface DirectoryAction {
  readonly userId: string
  readonly roomId: string
  /** The alias to be made, or all aliases of the room to be published. */
  readonly aliases: readonly string[]
}

/**
 * Whether the rules allow an action; where no rule matches they do not.
 * @param unset the answer where no rules are configured
 */
export function isAllowed(rules: readonly DirectoryRule[] | null, action: DirectoryAction, unset: boolean): boolean {
  if (rules === null) return unset
  const rule = rules.find(({ user_id: userId, room_id: roomId, alias }) =>
    matches(userId, action.userId) && matches(roomId, action.roomId) &&
    (alias === null || alias === '*' || action.aliases.some((each) => matches(alias, each))))
  return rule?.action === 'allow'
}

function matches(glob: string | null, text: string): boolean {
  return glob === null || compileGlob(glob).matches(text)
}
