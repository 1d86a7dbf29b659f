/**
 * The documents under `/.well-known/matrix/`.
 *
 * Spec: client-server API, "Well-known URI"; server-server API, "Well-known URI".
 */
import type { JsonObject } from '@myelin/protocol/json/json.ts'

/** The options that these documents are made of. */
export interface WellKnownRules {
  readonly serverName: string
  /** URL by which clients reach the server; without it there is no document for clients. */
  readonly publicBaseurl: string | null
  readonly identityServer: string | null
  readonly extraClientContent: JsonObject
  readonly serveServer: boolean
}

/** `/.well-known/matrix/client`, also the `well_known` of a login; undefined where the server does not know its public URL. */
export function wellKnownClient({ publicBaseurl, identityServer, extraClientContent }: WellKnownRules): JsonObject | undefined {
  if (publicBaseurl === null) return undefined
  return {
    ...extraClientContent,
    'm.homeserver': { base_url: publicBaseurl.endsWith('/') ? publicBaseurl : `${publicBaseurl}/` },
    ...(identityServer === null ? {} : { 'm.identity_server': { base_url: identityServer } }),
  }
}

/** `/.well-known/matrix/server`; undefined where it is not to be served. */
export function wellKnownServer({ serverName, serveServer }: WellKnownRules): JsonObject | undefined {
  if (!serveServer) return undefined
  return { 'm.server': /:\d+$/.test(serverName) ? serverName : `${serverName}:443` }
}
