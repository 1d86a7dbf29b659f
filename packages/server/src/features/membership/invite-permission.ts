/**
 * Whether users let themselves be invited.
 *
 * Spec: client-server API, "Invite permission"; account data `m.invite_permission_config`.
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, own } from '@myelin/protocol/json/json.ts'
import type { InviteFilter } from './membership.ts'

/** Reading a user's account data. */
export interface OwnSettings {
  globalFor(userId: UserId): Promise<ReadonlyMap<string, string>>
}

export class InvitePermission implements InviteFilter {
  readonly #settings: OwnSettings
  readonly #isLocal: (userId: string) => boolean

  constructor(needs: { readonly settings: OwnSettings; readonly isLocal: (userId: string) => boolean }) {
    this.#settings = needs.settings
    this.#isLocal = needs.isLocal
  }

  /** Whether a user refuses all invites. */
  async blocksAll(userId: UserId): Promise<boolean> {
    if (!this.#isLocal(userId)) return false
    const text = (await this.#settings.globalFor(userId)).get('m.invite_permission_config')
    const config: unknown = text === undefined ? undefined : JSON.parse(text)
    return isObject(config) && own(config, 'default_action') === 'block'
  }

  async assertMayBeInvited(_inviter: UserId, invitee: UserId): Promise<void> {
    if (await this.blocksAll(invitee)) throw refuse('M_INVITE_BLOCKED', `${invitee} does not accept invites.`)
  }
}
