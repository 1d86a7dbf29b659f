/**
 * Which state of a room a client wants: pairs of type and state key, with `*` for all, `$ME` for the user, and `$LAZY` for the members who matter to
 * the timeline.
 *
 * Spec: MSC4186, "Combining required_state", "Lazy loaded memberships"; in the form of the unstable endpoint.
 */

/** A type and a state key as a request names them. */
export type StatePair = readonly [type: string, stateKey: string]

const memberType = 'm.room.member'
const wildcard = '*'
const lazyKey = '$LAZY'
const meKey = '$ME'

export class RequiredState {
  /** State keys by type. */
  readonly byType: ReadonlyMap<string, ReadonlySet<string>>
  /** Members are those who matter to the timeline, and those who are named; a wildcard for types does not mean members then. */
  readonly isLazy: boolean
  #text: string | undefined

  private constructor(byType: ReadonlyMap<string, ReadonlySet<string>>, isLazy: boolean) {
    this.byType = byType
    this.isLazy = isLazy
  }

  static readonly nothing = new RequiredState(new Map(), false)

  /** What a request asks for; `$ME` becomes the user's id. */
  static of(pairs: readonly StatePair[], userId: string): RequiredState {
    const byType = new Map<string, Set<string>>()
    let wantsLazy = false
    for (const [type, stateKey] of pairs) {
      if (type === memberType && stateKey === lazyKey) {
        wantsLazy = true
        continue
      }
      const keys = byType.get(type) ?? new Set()
      keys.add(stateKey === meKey ? userId : stateKey)
      byType.set(type, keys)
    }
    return new RequiredState(byType, wantsLazy && byType.get(memberType)?.has(wildcard) !== true)
  }

  /** What `text` wrote. */
  static parse(text: string): RequiredState {
    const stored: { readonly lazy: boolean; readonly types: readonly (readonly [string, readonly string[]])[] } = JSON.parse(text)
    return new RequiredState(new Map(stored.types.map(([type, keys]) => [type, new Set(keys)])), stored.lazy)
  }

  /** The same for equal wishes, in whatever order they came. */
  get text(): string {
    return (this.#text ??= JSON.stringify({
      lazy: this.isLazy, types: [...this.byType].map(([type, keys]) => [type, [...keys].sort()] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
    }))
  }

  /** Whether all members are wanted. */
  get wantsAllMembers(): boolean {
    return !this.isLazy && (this.byType.get(memberType)?.has(wildcard) === true || this.byType.get(wildcard)?.has(wildcard) === true)
  }

  /** Whether a piece of state is named, members who matter to a timeline aside. */
  matches(type: string, stateKey: string): boolean {
    const keys = this.byType.get(type)
    if (keys?.has(stateKey) || keys?.has(wildcard)) return true
    if (type === memberType && this.isLazy) return false
    const ofAny = this.byType.get(wildcard)
    return ofAny !== undefined && (ofAny.has(stateKey) || ofAny.has(wildcard))
  }

  /** Whether only named pairs are wanted, so that each can be looked up by itself. */
  get isExact(): boolean {
    if (this.byType.has(wildcard)) return false
    for (const keys of this.byType.values()) if (keys.has(wildcard)) return false
    return true
  }

  /** All named pairs, wildcards left out. */
  *pairs(): Iterable<StatePair> {
    for (const [type, keys] of this.byType) {
      if (type === wildcard) continue
      for (const stateKey of keys) if (stateKey !== wildcard) yield [type, stateKey]
    }
  }

  /** What either of two wishes asks for. */
  with(other: RequiredState): RequiredState {
    if (other === this || other.text === this.text) return this
    const byType = new Map<string, Set<string>>()
    for (const { byType: types } of [this, other]) {
      for (const [type, keys] of types) byType.set(type, new Set([...(byType.get(type) ?? []), ...keys]))
    }
    const wantsAllMembers = this.wantsAllMembers || other.wantsAllMembers
    // One wish may want all types lazily, the other all members by a wildcard for types: then members are named, so that both hold.
    if (wantsAllMembers) byType.set(memberType, new Set([...(byType.get(memberType) ?? []), wildcard]))
    return new RequiredState(byType, (this.isLazy || other.isLazy) && !wantsAllMembers)
  }

  /** Whether everything that `other` asks for is asked for here. */
  covers(other: RequiredState): boolean {
    if (other === this || other.text === this.text) return true
    if (other.isLazy && !this.isLazy && !this.wantsAllMembers) return false
    if (other.wantsAllMembers && !this.wantsAllMembers) return false
    for (const [type, keys] of other.byType) {
      for (const stateKey of keys) if (!this.#coversPair(type, stateKey)) return false
    }
    return true
  }

  #coversPair(type: string, stateKey: string): boolean {
    if (type !== wildcard && stateKey !== wildcard) return this.matches(type, stateKey)
    const own = this.byType.get(type)
    if (own?.has(stateKey) || own?.has(wildcard)) return true
    const ofAny = this.byType.get(wildcard)
    if (type === memberType && this.isLazy) return false
    return ofAny !== undefined && (ofAny.has(wildcard) || (type !== wildcard && ofAny.has(stateKey)))
  }
}
