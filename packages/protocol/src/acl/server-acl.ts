/**
 * Server access control lists of a room.
 *
 * Spec: client-server API, "Server Access Control Lists (ACLs) for rooms"; server-server API, same title.
 */
import { isIpLiteral, withoutPort } from '../ids/server-name.ts'
import type { JsonObject, JsonValue } from '../json/json.ts'
import { own } from '../json/json.ts'
import { compileGlob } from './glob.ts'
import type { Glob } from './glob.ts'

/** How many answers an ACL remembers. */
const maxAnswers = 10_000

/** The entries of a list: names to be looked up, and patterns to be tried. */
class EntryList {
  readonly #names = new Set<string>()
  readonly #globs: Glob[] = []
  readonly #matchesAll: boolean

  constructor(value: JsonValue | undefined) {
    const entries = Array.isArray(value) ? value.filter((entry): entry is string => typeof entry === 'string') : []
    this.#matchesAll = entries.includes('*')
    const patterns = new Set<string>()
    for (const entry of this.#matchesAll ? [] : entries) {
      const pattern = entry.toLowerCase()
      if (/[*?]/.test(pattern)) patterns.add(pattern)
      else this.#names.add(pattern)
    }
    // a server name has at most 255 bytes, so a longer pattern is one only by its stars
    for (const pattern of patterns) this.#globs.push(compileGlob(pattern.replace(/\*+/g, '*')))
  }

  matches(host: string): boolean {
    return this.#matchesAll || this.#names.has(host) || this.#globs.some((glob) => glob.matches(host))
  }
}

/** The rules of an `m.room.server_acl` event, compiled. Answers are remembered. */
export class ServerAcl {
  readonly #allowIpLiterals: boolean
  readonly #allow: EntryList
  readonly #deny: EntryList
  readonly #answers = new Map<string, boolean>()

  /** @param content of the event; fields of a wrong type count as absent, entries of a wrong type as none */
  constructor(content: JsonObject) {
    this.#allowIpLiterals = own(content, 'allow_ip_literals') !== false
    this.#allow = new EntryList(own(content, 'allow'))
    this.#deny = new EntryList(own(content, 'deny'))
  }

  /** Whether a server may take part in the room. The port of its name and upper case do not count. */
  allows(serverName: string): boolean {
    const known = this.#answers.get(serverName)
    if (known !== undefined) return known
    const answer = this.#decide(serverName)
    if (this.#answers.size >= maxAnswers) this.#answers.clear()
    this.#answers.set(serverName, answer)
    return answer
  }

  #decide(serverName: string): boolean {
    // 2 (1, no event at all, is the caller's)
    if (!this.#allowIpLiterals && isIpLiteral(serverName)) return false
    const host = withoutPort(serverName).toLowerCase()
    // 3
    if (this.#deny.matches(host)) return false
    // 4, 5
    return this.#allow.matches(host)
  }
}

const compiled = new WeakMap<JsonObject, ServerAcl>()

/** The compiled rules of an `m.room.server_acl` event's content, kept as long as the content is. */
export function serverAclOf(content: JsonObject): ServerAcl {
  const known = compiled.get(content)
  if (known) return known
  const acl = new ServerAcl(content)
  compiled.set(content, acl)
  return acl
}
