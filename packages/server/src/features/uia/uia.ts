/**
 * Interactive authentication: sessions that remember a request until its stages are completed.
 *
 * Spec: client-server API, "User-Interactive Authentication API".
 */
import { randomBytes } from 'node:crypto'
import { MatrixError, refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { isObject, own, type JsonObject, type JsonValue } from '@myelin/protocol/json/json.ts'
import type { Clock } from '#platform/clock.ts'
import type { Database, Tx } from '#platform/db/database.ts'
import type { Requester } from '#platform/http/requester.ts'
import { addressKey } from '#platform/limits/address-key.ts'
import type { RateLimits } from '#platform/limits/rate-limits.ts'
import type { StagePage } from './fallback-page.ts'
import { BodySeal } from './sealed-body.ts'
import { UiaMismatch, UiaRequired } from './uia-required.ts'
import { UiaStore, type UiaSessionRow } from './uia.store.ts'

export type { StagePage } from './fallback-page.ts'
export { UiaMismatch } from './uia-required.ts'

/** What a stage may look at. */
export interface StageContext {
  /** Whose confirmation is asked for; undefined at registration. */
  readonly userId: UserId | undefined
  readonly ip: string
}

/** A stage that was completed. */
export interface StageOutcome {
  readonly result: JsonValue
  /** Writes that belong to the completion; it may still refuse. */
  readonly claim?: (tx: Tx) => Promise<void>
}

/** One type of authentication, such as `m.login.password`. */
export interface Stage {
  /** @throws MatrixError where the attempt failed; the client may try again, unless it is a UiaMismatch */
  readonly check: (auth: JsonObject, context: StageContext) => Promise<StageOutcome>
  /** Takes the claim back when a session ends without success. */
  readonly release?: (tx: Tx, result: JsonValue) => Promise<void>
  /** How it is completed in a browser; stages without have no fallback page. */
  readonly page?: StagePage
}

/** What is to be confirmed. */
export interface UiaOperation {
  /** Stable name, such as `deleteDevices`. */
  readonly id: string
  /** Completes "Confirm to …" on pages. */
  readonly description: string
  /**
   * The caller ends the session itself with `finish`, inside of the transaction that does the work; and later requests may add to the body or change
   * it (registration: clients ask for the flows with an empty body).
   */
  readonly deferred?: true
  /** A confirmation of the last `session_timeout` by the same access token serves as well. */
  readonly maySkip?: true
}

/** The parts of an endpoint's request that are looked at. */
export interface UiaRequest {
  readonly method: string
  readonly url: string
  readonly body: { readonly [name: string]: unknown }
  readonly ip: string
}

export interface UiaAttempt {
  readonly request: UiaRequest
  readonly requester?: Requester | undefined
  readonly operation: UiaOperation
  /** Alternatives, each a list of stages in order. */
  readonly flows: readonly (readonly string[])[]
  /** What clients need to know of a stage, by stage. */
  readonly params?: Readonly<Record<string, unknown>>
}

/** All stages of a flow are completed. */
export interface UiaSuccess {
  /** Results by stage. */
  readonly completed: ReadonlyMap<string, JsonValue>
  /** The body of the first request (completed by later ones where the operation is deferred), without `auth`. */
  readonly body: JsonObject
  /**
   * Ends the session of a deferred operation; refuses where another request has done so.
   * @param result is kept until the session would have expired, see `resultOf`
   */
  finish(tx: Tx, result?: JsonValue): Promise<void>
}

/** What a logged-in user confirms an action with. */
export const confirmationFlows: readonly (readonly string[])[] = [['m.login.password']]

interface Needs {
  readonly database: Database
  readonly clock: Clock
  readonly limits: RateLimits
  /** Secret of the server, to encrypt what waits in the database. */
  readonly secret: string
  /** Milliseconds that one confirmation serves for further operations. */
  readonly sessionTimeoutMs: number
}

interface Session {
  readonly id: string
  /** Whether it is in the database. */
  readonly stored: boolean
  readonly row: UiaSessionRow
  readonly body: JsonObject
  readonly completed: Map<string, JsonValue>
}

const lifetimeMs = 24 * 3_600_000
/** Operation of a session that has ended with a result; its body is the result, and it waits for no stage. */
const finished = 'finished'
/** Sessions of one user, or of one address without a user; the oldest give way. */
const ownerLimit = 50

export class Uia {
  readonly #needs: Needs
  readonly #store: UiaStore
  readonly #seal: BodySeal
  readonly #stages = new Map<string, Stage>()
  /** When an access token last confirmed something. */
  readonly #confirmedTs = new Map<number, number>()

  constructor(needs: Needs) {
    this.#needs = needs
    this.#store = new UiaStore(needs.database)
    this.#seal = new BodySeal(needs.secret)
  }

  /** Makes a type of authentication known. */
  addStage(type: string, stage: Stage): void {
    this.#stages.set(type, stage)
  }

  /**
   * Lets a request pass once a flow is completed.
   * @throws UiaRequired (401) with what is still to do, M_FORBIDDEN where the request has changed, M_LIMIT_EXCEEDED after failed attempts
   */
  async authenticate(attempt: UiaAttempt): Promise<UiaSuccess> {
    const { request, requester, operation } = attempt
    const auth = authOf(request.body)
    if (!auth && this.#wasJustConfirmed(attempt)) return { completed: new Map(), body: bodyOf(request), finish: async () => undefined }
    const session = (await this.#load(auth, attempt)) ?? this.#draft(attempt)
    const type = auth && own(auth, 'type')
    const outcome = auth && typeof type === 'string' ? await this.#attempt(type, auth, session, attempt) : undefined
    if (outcome instanceof MatrixError) throw await this.#required(session, attempt, outcome)
    if (outcome && typeof type === 'string') session.completed.set(type, outcome.result)
    const done = attempt.flows.some((stages) => stages.every((stage) => session.completed.has(stage)))
    if (!done) throw await this.#required(session, attempt, undefined, outcome && typeof type === 'string' ? { type, outcome } : undefined)
    if (outcome?.claim && typeof type === 'string') await this.#record(session, { type, outcome })
    const stored = session.stored || outcome?.claim !== undefined
    if (stored && !operation.deferred) await this.#needs.database.transaction((tx) => this.#finish(tx, session.id))
    if (requester?.accessTokenId !== undefined) this.#confirmed(requester.accessTokenId)
    return {
      completed: session.completed,
      body: session.body,
      finish: async (tx, result) => {
        if (stored && operation.deferred) await this.#finish(tx, session.id, result)
      },
    }
  }

  /** The result with which an operation ended whose session the request names: the client asks again because it lost the answer. */
  async resultOf(request: UiaRequest): Promise<JsonValue | undefined> {
    const auth = authOf(request.body)
    const id = auth && own(auth, 'session')
    const row = await this.#named(id)
    if (row?.operation !== finished || row.method !== request.method || row.path !== pathOf(request)) return undefined
    const text = this.#seal.open(row.sealed_body, row.session_id)
    return text === undefined ? undefined : JSON.parse(text)
  }

  /**
   * Completes a stage from a fallback page.
   * @throws M_NOT_FOUND for an unknown session, or the stage's own refusal
   */
  async completeStage(sessionId: string, type: string, auth: JsonObject, ip: string): Promise<void> {
    const row = await this.#live(sessionId)
    const stage = this.#stages.get(type)
    if (!row || !stage || !stagesOf(row).includes(type)) throw refuse('M_NOT_FOUND', 'This session is unknown or has ended; start again in your client.')
    const userId = row.owner.startsWith('@') ? (row.owner as UserId) : undefined
    const outcome = await stage.check(auth, { userId, ip })
    const session: Session = { id: sessionId, stored: true, row, body: {}, completed: new Map() }
    await this.#record(session, { type, outcome })
  }

  /** The page of a stage, where it has one. */
  pageOf(type: string): StagePage | undefined {
    return this.#stages.get(type)?.page
  }

  /** Whether a session waits for a stage of this type. */
  async waitsFor(sessionId: string, type: string): Promise<boolean> {
    const row = await this.#live(sessionId)
    return row !== undefined && stagesOf(row).includes(type)
  }

  /** Ends the sessions of a user, or of some of their devices. */
  async drop(tx: Tx, userId: UserId, deviceIds?: readonly string[]): Promise<void> {
    const sessions = await this.#store.ofOwner(tx, userId)
    const ids = sessions.filter((session) => !deviceIds || (session.device_id !== null && deviceIds.includes(session.device_id))).map((session) => session.session_id)
    await this.#end(tx, ids)
  }

  /** Ends sessions that are older than a day; called now and then. */
  async expire(): Promise<void> {
    for (const [tokenId, ts] of this.#confirmedTs) if (ts < this.#needs.clock.now() - this.#needs.sessionTimeoutMs) this.#confirmedTs.delete(tokenId)
    for (;;) {
      const ids = await this.#store.before(this.#needs.clock.now() - lifetimeMs, 200)
      if (ids.length === 0) return
      await this.#needs.database.transaction((tx) => this.#end(tx, ids))
    }
  }

  #wasJustConfirmed({ requester, operation }: UiaAttempt): boolean {
    const { sessionTimeoutMs, clock } = this.#needs
    if (!operation.maySkip || sessionTimeoutMs <= 0 || requester?.accessTokenId === undefined) return false
    const ts = this.#confirmedTs.get(requester.accessTokenId)
    return ts !== undefined && clock.now() - ts < sessionTimeoutMs
  }

  #confirmed(accessTokenId: number): void {
    if (this.#needs.sessionTimeoutMs > 0) this.#confirmedTs.set(accessTokenId, this.#needs.clock.now())
  }

  async #live(sessionId: string): Promise<UiaSessionRow | undefined> {
    const row = await this.#store.byId(sessionId)
    return row && row.created_ts >= this.#needs.clock.now() - lifetimeMs ? row : undefined
  }

  async #named(id: JsonValue | undefined): Promise<UiaSessionRow | undefined> {
    return typeof id === 'string' && id.length < 100 ? this.#live(id) : undefined
  }

  /** The session that the client names; undefined where it names none that is theirs. */
  async #load(auth: JsonObject | undefined, { request, requester, operation }: UiaAttempt): Promise<Session | undefined> {
    const id = auth && own(auth, 'session')
    const row = await this.#named(id)
    if (!row || (requester ? row.owner !== requester.userId || row.device_id !== (requester.deviceId ?? null) : row.owner.startsWith('@'))) return undefined
    const text = this.#seal.open(row.sealed_body, row.session_id)
    if (text === undefined) return undefined
    const original: JsonObject = JSON.parse(text)
    const sent = bodyOf(request)
    if (row.method !== request.method || row.path !== pathOf(request) || row.operation !== operation.id) throw changed()
    const body = operation.deferred ? { ...original, ...sent } : original
    if (!operation.deferred && Object.keys(sent).some((key) => !sameJson(sent[key], own(original, key)))) throw changed()
    if (operation.deferred && Object.keys(sent).length > 0) {
      await this.#needs.database.transaction((tx) => this.#store.setBody(tx, row.session_id, this.#seal.seal(JSON.stringify(body), row.session_id)))
    }
    const credentials = await this.#store.credentialsOf(row.session_id)
    const completed = new Map<string, JsonValue>(credentials.map((entry) => [entry.stage_type, JSON.parse(entry.result)]))
    return { id: row.session_id, stored: true, row, body, completed }
  }

  #draft({ request, requester, operation, flows }: UiaAttempt): Session {
    const id = randomBytes(18).toString('base64url')
    const body = bodyOf(request)
    const row: UiaSessionRow = {
      session_id: id,
      owner: requester?.userId ?? `ip:${addressKey(request.ip)}`,
      device_id: requester?.deviceId ?? null,
      operation: operation.id,
      description: operation.description,
      method: request.method,
      path: pathOf(request),
      sealed_body: this.#seal.seal(JSON.stringify(body), id),
      stages: JSON.stringify([...new Set(flows.flat())]),
      created_ts: this.#needs.clock.now(),
    }
    return { id, stored: false, row, body, completed: new Map() }
  }

  /** Tries a stage; a refusal is answered, not thrown, since the client may try again. */
  async #attempt(type: string, auth: JsonObject, session: Session, { flows, request, requester }: UiaAttempt): Promise<StageOutcome | MatrixError | undefined> {
    if (session.completed.has(type)) return undefined
    const stage = this.#stages.get(type)
    if (!stage || !isNext(type, flows, session.completed)) {
      return refuse('M_FORBIDDEN', 'This is not the next stage of any flow; see flows.')
    }
    const limitKey = requester?.userId.toLowerCase()
    if (limitKey !== undefined) this.#needs.limits.assertAllowed('rc_login.failed_attempts', limitKey)
    try {
      return await stage.check(auth, { userId: requester?.userId, ip: request.ip })
    } catch (error) {
      if (!(error instanceof MatrixError) || error.errcode === 'M_LIMIT_EXCEEDED' || error.status >= 500 || error instanceof UiaMismatch) throw error
      if (limitKey !== undefined) this.#needs.limits.consume('rc_login.failed_attempts', limitKey)
      return error
    }
  }

  /** Keeps the session, with the stage that was just completed, and says what is still to do. */
  async #required(session: Session, { flows, params }: UiaAttempt, refusal?: MatrixError, completion?: { type: string; outcome: StageOutcome }): Promise<UiaRequired> {
    if (!session.stored || completion) await this.#record(session, completion)
    return new UiaRequired({ session: session.id, flows, params: params ?? {}, completed: [...session.completed.keys()], refusal })
  }

  async #record(session: Session, completion?: { type: string; outcome: StageOutcome }): Promise<void> {
    await this.#needs.database.transaction(async (tx) => {
      if (!session.stored) {
        await this.#store.insert(tx, session.row)
        const surplus = (await this.#store.ofOwner(tx, session.row.owner)).slice(ownerLimit)
        await this.#end(tx, surplus.map((entry) => entry.session_id))
      }
      if (!completion) return
      const isNew = await this.#store.addCredential(tx, session.id, completion.type, JSON.stringify(completion.outcome.result))
      if (isNew) await completion.outcome.claim?.(tx)
    })
  }

  async #finish(tx: Tx, sessionId: string, result?: JsonValue): Promise<void> {
    const ended = result === undefined
      ? await this.#store.delete(tx, [sessionId])
      : await this.#store.finish(tx, { sessionId, operation: finished, body: this.#seal.seal(JSON.stringify(result), sessionId) })
    if (ended === 0) throw refuse('M_FORBIDDEN', 'This authentication session was already used.')
  }

  /** Ends sessions that did not succeed. */
  async #end(tx: Tx, sessionIds: readonly string[]): Promise<void> {
    if (sessionIds.length === 0) return
    for (const entry of await this.#store.credentials(tx, sessionIds)) await this.#stages.get(entry.stage_type)?.release?.(tx, JSON.parse(entry.result))
    await this.#store.delete(tx, sessionIds)
  }
}

function changed(): MatrixError {
  return refuse('M_FORBIDDEN', 'The request has changed during its interactive authentication; start again without auth.')
}

function authOf(body: { readonly [name: string]: unknown }): JsonObject | undefined {
  const auth = Object.hasOwn(body, 'auth') ? body['auth'] : undefined
  if (auth === undefined || auth === null) return undefined
  if (!isObject(auth)) throw refuse('M_BAD_JSON', '"auth" must be an object.')
  return auth
}

function bodyOf({ body }: UiaRequest): JsonObject {
  const { auth: _, ...rest } = body
  return JSON.parse(JSON.stringify(rest))
}

function pathOf({ url }: UiaRequest): string {
  return url.split('?', 1)[0] ?? ''
}

function stagesOf(row: UiaSessionRow): readonly string[] {
  return JSON.parse(row.stages)
}

/** Whether `type` follows in a flow of which all earlier stages are completed. */
function isNext(type: string, flows: readonly (readonly string[])[], completed: ReadonlyMap<string, unknown>): boolean {
  return flows.some((stages) => {
    const index = stages.indexOf(type)
    return index >= 0 && stages.slice(0, index).every((stage) => completed.has(stage)) && [...completed.keys()].every((stage) => stages.includes(stage))
  })
}

function sameJson(one: JsonValue | undefined, other: JsonValue | undefined): boolean {
  if (one === other) return true
  if (Array.isArray(one) && Array.isArray(other)) return one.length === other.length && one.every((item, index) => sameJson(item, other[index]))
  if (!isObject(one) || !isObject(other)) return false
  const keys = Object.keys(one)
  return keys.length === Object.keys(other).length && keys.every((key) => Object.hasOwn(other, key) && sameJson(own(one, key), own(other, key)))
}
