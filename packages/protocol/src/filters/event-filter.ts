/**
 * Filters for events: what a client wants to see of a timeline, of state, of presence, of account data.
 *
 * Spec: client-server API, "Filtering" (EventFilter, RoomEventFilter); MSC2326 (labels).
 */
import { compileStarGlob } from '../acl/glob.ts'
import type { Glob } from '../acl/glob.ts'
import type { JsonObject, JsonValue } from '../json/json.ts'
import { own } from '../json/json.ts'

/** What a filter reads of an event. Account data has no sender, and only events of rooms have a room. */
export interface FilterableEvent {
  readonly type: string
  readonly sender?: string | undefined
  readonly roomId?: string | undefined
  readonly content?: JsonObject | undefined
}

/** Answers whether some event relates to the one in question, from one of these senders and of one of these relation types. */
export type RelatedBy = (senders: readonly string[] | undefined, relTypes: readonly string[] | undefined) => boolean

/** Values that a text must be, or undefined where any will do. */
type Choice = ReadonlySet<string> | undefined

/** Event types, some of them patterns with `*`. */
class TypeList {
  readonly #names = new Set<string>()
  readonly #patterns: Glob[] = []

  constructor(types: readonly string[]) {
    for (const type of types) {
      if (type.includes('*')) this.#patterns.push(compileStarGlob(type))
      else this.#names.add(type)
    }
  }

  has(type: string): boolean {
    return this.#names.has(type) || this.#patterns.some((pattern) => pattern.matches(type))
  }
}

/** A compiled `EventFilter` or `RoomEventFilter`. Fields that are absent or of a wrong type let everything pass. */
export class EventFilter {
  /** The most events that are wanted, if the client says so. */
  readonly limit: number | undefined
  readonly lazyLoadMembers: boolean
  readonly includeRedundantMembers: boolean
  readonly unreadThreadNotifications: boolean
  /** The types that are wanted as the client wrote them, for a query; they may hold `*`. */
  readonly types: readonly string[] | undefined
  readonly notTypes: readonly string[]
  readonly senders: readonly string[] | undefined
  readonly notSenders: readonly string[]
  readonly rooms: readonly string[] | undefined
  readonly notRooms: readonly string[]
  readonly containsUrl: boolean | undefined
  readonly labels: readonly string[] | undefined
  readonly notLabels: readonly string[]
  readonly relatedBySenders: readonly string[] | undefined
  readonly relatedByRelTypes: readonly string[] | undefined
  readonly #types: TypeList | undefined
  readonly #notTypes: TypeList
  readonly #senders: Choice
  readonly #notSenders: ReadonlySet<string>
  readonly #rooms: Choice
  readonly #notRooms: ReadonlySet<string>

  /** @param json that `checkFilter` found well-formed */
  constructor(json: JsonObject) {
    const limit = own(json, 'limit')
    this.limit = typeof limit === 'number' && Number.isSafeInteger(limit) && limit >= 0 ? limit : undefined
    this.lazyLoadMembers = own(json, 'lazy_load_members') === true
    this.includeRedundantMembers = own(json, 'include_redundant_members') === true
    this.unreadThreadNotifications = own(json, 'unread_thread_notifications') === true
    this.types = texts(own(json, 'types'))
    this.notTypes = texts(own(json, 'not_types')) ?? []
    this.senders = texts(own(json, 'senders'))
    this.notSenders = texts(own(json, 'not_senders')) ?? []
    this.rooms = texts(own(json, 'rooms'))
    this.notRooms = texts(own(json, 'not_rooms')) ?? []
    const containsUrl = own(json, 'contains_url')
    this.containsUrl = typeof containsUrl === 'boolean' ? containsUrl : undefined
    this.labels = texts(own(json, 'org.matrix.labels'))
    this.notLabels = texts(own(json, 'org.matrix.not_labels')) ?? []
    this.relatedBySenders = texts(own(json, 'related_by_senders'))
    this.relatedByRelTypes = texts(own(json, 'related_by_rel_types'))
    this.#types = this.types && new TypeList(this.types)
    this.#notTypes = new TypeList(this.notTypes)
    this.#senders = this.senders && new Set(this.senders)
    this.#notSenders = new Set(this.notSenders)
    this.#rooms = this.rooms && new Set(this.rooms)
    this.#notRooms = new Set(this.notRooms)
  }

  /** Whether the filter lets nothing at all pass, so that nothing needs to be read. */
  get matchesNothing(): boolean {
    const { types, senders, rooms } = this
    return types?.length === 0 || senders?.length === 0 || rooms?.length === 0 || this.notTypes.includes('*')
  }

  /** Whether the filter lets everything pass, so that nothing needs to be asked. */
  get matchesEverything(): boolean {
    return (
      this.types === undefined && this.senders === undefined && this.rooms === undefined && this.containsUrl === undefined &&
      this.labels === undefined && !this.needsRelations &&
      [this.notTypes, this.notSenders, this.notRooms, this.notLabels].every((list) => list.length === 0)
    )
  }

  /** Whether `matches` asks for the relations of an event. */
  get needsRelations(): boolean {
    return this.relatedBySenders !== undefined || this.relatedByRelTypes !== undefined
  }

  /** The number of events to give: what the client wants, but at most `most`. */
  limitWithin(usual: number, most: number): number {
    return Math.min(this.limit ?? usual, most)
  }

  matchesRoom(roomId: string): boolean {
    return !this.#notRooms.has(roomId) && (this.#rooms === undefined || this.#rooms.has(roomId))
  }

  matchesType(type: string): boolean {
    return !this.#notTypes.has(type) && (this.#types === undefined || this.#types.has(type))
  }

  matchesSender(sender: string | undefined): boolean {
    if (sender === undefined) return this.#senders === undefined
    return !this.#notSenders.has(sender) && (this.#senders === undefined || this.#senders.has(sender))
  }

  /**
   * Whether an event passes.
   *
   * @param relatedBy needed where `needsRelations`; without it, such a filter lets nothing pass
   */
  matches(event: FilterableEvent, relatedBy?: RelatedBy): boolean {
    return (
      this.matchesType(event.type) &&
      this.matchesSender(event.sender) &&
      (event.roomId === undefined || this.matchesRoom(event.roomId)) &&
      this.#matchesContent(event.content) &&
      (!this.needsRelations || (relatedBy?.(this.relatedBySenders, this.relatedByRelTypes) ?? false))
    )
  }

  #matchesContent(content: JsonObject | undefined): boolean {
    if (this.containsUrl !== undefined && this.containsUrl !== (content !== undefined && Object.hasOwn(content, 'url'))) return false
    if (this.labels === undefined && this.notLabels.length === 0) return true
    const labels = new Set(texts(content && own(content, 'org.matrix.labels')))
    return !this.notLabels.some((label) => labels.has(label)) && (this.labels === undefined || this.labels.some((label) => labels.has(label)))
  }
}

/** The strings of a list, or undefined where the value is no list. */
function texts(value: JsonValue | undefined): readonly string[] | undefined {
  return Array.isArray(value) ? value.filter((entry): entry is string => typeof entry === 'string') : undefined
}

/** The filter that lets everything pass. */
export const allEvents: EventFilter = new EventFilter({})
