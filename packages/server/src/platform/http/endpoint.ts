/**
 * One declaration per endpoint: everything that the server, the documentation and the routing tables know of it.
 *
 * Spec: client-server API, "API Standards".
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import type { Static, TSchema } from 'typebox'
import type { Errcode } from '@myelin/protocol/errors.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import type { JsonText, RawReply, WithStatus } from './reply.ts'
import type { Requester } from './requester.ts'

/**
 * Prefix of the path: `/_matrix/client`, `/_matrix/federation`, `/_synapse/admin`, `/_matrix/media`, `/_matrix/key`,
 * `/_synapse/client`, or nothing (`root`). It also decides on which listener resource the endpoint is mounted.
 */
export type Base = 'client' | 'federation' | 'admin' | 'media' | 'key' | 'synapse-client' | 'root'

/**
 * Who may call. `optional`: a token may be absent but not wrong. `guest`: a token is needed and guests may.
 * `user`: a token is needed and guests are refused. `server`: a signed federation request.
 */
export type AuthLevel = 'none' | 'optional' | 'guest' | 'user' | 'appservice' | 'admin' | 'server'

/**
 * What the rate limit `rc` counts by. `service`: the service itself charges the limit, because the key is known
 * only there (the room, the invited user); the declaration then only documents it.
 */
export type RateLimit = 'none' | { readonly rc: string, readonly by: 'user' | 'device' | 'address' | 'service' }

/** `json`: an object is needed. `optional-json`: no body counts as `{}`. `raw`: the handler reads the stream. */
export type BodyKind = 'json' | 'optional-json' | 'raw'

type ParameterOf<Segment extends string> = Segment extends `:${infer Name}?` ? Name : Segment extends `:${infer Name}` ? Name : never
type ParameterNames<Path extends string> =
  Path extends `${infer Segment}/${infer Rest}` ? ParameterOf<Segment> | ParameterNames<Rest> : ParameterOf<Path>

type RequesterFor<Auth extends AuthLevel> =
  Auth extends 'none' | 'server' ? undefined : Auth extends 'optional' ? Requester | undefined : Requester

/** Path parameters by schema, or strings by the names in the path. */
type ParamsFor<Path extends string, Schema> =
  Schema extends TSchema ? Static<Schema> : { readonly [Name in ParameterNames<Path>]: string }
type QueryFor<Schema> =
  Schema extends TSchema ? Static<Schema> : { readonly [name: string]: string | readonly string[] | undefined }
type BodyFor<Schema, Kind> =
  Schema extends TSchema ? Static<Schema> : Kind extends 'json' | 'optional-json' ? { readonly [name: string]: unknown } : undefined

type Primitive = string | number | boolean | null | undefined
type DeepReadonly<T> =
  T extends Primitive ? T
    : T extends readonly (infer Item)[] ? readonly DeepReadonly<Item>[]
      : T extends object ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
        : T
type ValueFor<Schema> = Schema extends TSchema ? DeepReadonly<Static<Schema>> : object

/** What a handler may answer: the value of its `reply` schema, or one of the special forms. */
export type ReplyFor<Schema> = ValueFor<Schema> | JsonText | RawReply | WithStatus<object>

/** What a handler gets to know of the request. */
export interface EndpointRequest<
  Auth extends AuthLevel = AuthLevel, Params = unknown, Query = unknown, Body = unknown, Kind = BodyKind | undefined,
> {
  readonly requester: RequesterFor<Auth>
  /** Name of the server that signed the request, with `auth: 'server'`. */
  readonly origin: Auth extends 'server' ? ServerName : undefined
  readonly params: Params
  readonly query: Query
  readonly body: Body
  /** Address of the client: of the connection, or the first of `X-Forwarded-For` on a listener that trusts it. */
  readonly ip: string
  /** `User-Agent`, '' when absent. */
  readonly userAgent: string
  /** Names in lower case. */
  readonly headers: IncomingHttpHeaders
  /** Aborts when the client went away or the server drains before a restart. */
  readonly signal: AbortSignal
  /** The body as it comes, with `bodyKind: 'raw'`; the handler must enforce its own size limit. */
  readonly stream: Kind extends 'raw' ? Readable : undefined
  readonly requestId: string
  readonly method: string
  /** Path and query as they came over the wire. */
  readonly url: string
  /** Scheme that the client used, also behind a reverse proxy. */
  readonly scheme: 'http' | 'https'
}

/** The fields of a declaration that do not depend on types. */
interface EndpointFields {
  /** Name in metrics, logs and documentation, such as `sendMessage`. */
  readonly id: string
  /** Name in the metrics' `servlet` label where Synapse's dashboards rely on it (`SyncRestServlet`); else the id. */
  readonly servlet?: string
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE' | 'PATCH'
  readonly base: Base
  /** `['v3', 'r0', 'unstable/org.matrix.msc1234']`; an empty list mounts the path directly below the base. */
  readonly versions: readonly string[]
  /** Anchor in the specification, or page of the admin API. */
  readonly spec: string
  /** The handler asks for user-interactive authentication. */
  readonly uia?: true
  readonly limit: RateLimit
  /** Worker class that serves it best: a routing hint. */
  readonly role: string
  /** Path parameter or requester field by which a proxy should hash. */
  readonly shard?: string
  /** Error codes that it may answer. */
  readonly errors: readonly Errcode[]
  /** Largest accepted body in bytes, unless it is `raw`. Default 1 MiB. */
  readonly maxBodyBytes?: number
  /** Locked users may call it (log-out); all others get `M_USER_LOCKED`. */
  readonly lockedAllowed?: true
  /** Suspended users get `M_USER_SUSPENDED`. */
  readonly suspendedRefused?: true
}

/** A declaration as a slice writes it; the types of `handler` follow from the other fields. */
export interface EndpointDeclaration<Needs, Auth extends AuthLevel, Path extends string, Params, Query, Body, Reply, Kind>
  extends EndpointFields {
  readonly auth: Auth
  /**
   * Below the base and version: `/rooms/:roomId/send/:eventType/:txnId`. A last segment `:stateKey?` may be absent or
   * empty, the parameter is then ''. A trailing slash means that the path is served with and without it.
   */
  readonly path: Path
  readonly params?: Params
  /** Numbers, booleans and lists are converted from text by this schema. */
  readonly query?: Query
  /** Other properties of the body are allowed and kept. */
  readonly body?: Body
  readonly bodyKind?: Kind
  readonly reply?: Reply
  readonly handler: (
    needs: Needs,
    request: EndpointRequest<Auth, ParamsFor<Path, Params>, QueryFor<Query>, BodyFor<Body, Kind>, Kind>,
  ) => ReplyFor<Reply> | Promise<ReplyFor<Reply>>
}

/** A declaration as the server reads it. `Needs` is what its handler must be given. */
export interface Endpoint<Needs = never> extends EndpointFields {
  readonly auth: AuthLevel
  readonly path: string
  readonly params?: TSchema | undefined
  readonly query?: TSchema | undefined
  readonly body?: TSchema | undefined
  readonly bodyKind?: BodyKind | undefined
  readonly reply?: TSchema | undefined
  /** A method on purpose: its request is wider here than what the declaration's schemas, checked before the call, promise. */
  handler(needs: Needs, request: EndpointRequest): unknown
}

/** The intersection of what a list of endpoints needs. */
export type NeedsOf<E> = (E extends Endpoint<infer Needs> ? (needs: Needs) => void : never) extends (needs: infer All) => void ? All : never

/** Declares an endpoint: answers the frozen declaration, ready for `app/routes.ts`. */
export function endpoint<
  Needs, const Auth extends AuthLevel, const Path extends string,
  Params extends TSchema | undefined = undefined, Query extends TSchema | undefined = undefined,
  Body extends TSchema | undefined = undefined, Reply extends TSchema | undefined = undefined,
  const Kind extends BodyKind | undefined = undefined,
>(declaration: EndpointDeclaration<Needs, Auth, Path, Params, Query, Body, Reply, Kind>): Endpoint<Needs> {
  return Object.freeze({ ...declaration })
}

const prefixes: Readonly<Record<Base, string>> = {
  client: '/_matrix/client',
  federation: '/_matrix/federation',
  admin: '/_synapse/admin',
  media: '/_matrix/media',
  key: '/_matrix/key',
  'synapse-client': '/_synapse/client',
  root: '',
}

/** Every URL path of an endpoint, one for each version, in the router's syntax. */
export function pathsOf({ base, versions, path }: Pick<Endpoint, 'base' | 'versions' | 'path'>): readonly string[] {
  const prefix = prefixes[base]
  if (versions.length === 0) return [prefix + path]
  return versions.map((version) => `${prefix}/${version}${path}`)
}
