/**
 * The header that proves which server makes a request, and the object that its signature covers.
 *
 * Spec: server-server API, "Request Authentication"; RFC 9110, sections 5.6 and 11.4.
 */
import type { SigningKey } from '../crypto/ed25519.ts'
import { signJson, signaturesOf } from '../crypto/sign-json.ts'
import type { JsonObject, JsonValue } from '../json/json.ts'

/** What the header says. */
export interface RequestSignature {
  /** Server name of the sender, unchecked. */
  readonly origin: string
  /** Server name of the receiver; older servers leave it out. */
  readonly destination: string | undefined
  /** `ed25519:<version>` */
  readonly keyId: string
  /** Unpadded base64. */
  readonly signature: string
}

/** What is signed. */
export interface RequestToSign {
  readonly method: string
  /** Path and query, from `/_matrix` on. */
  readonly uri: string
  readonly origin: string
  readonly destination: string
  /** Undefined where the request has no body. */
  readonly content: JsonValue | undefined
}

const scheme = /^x-matrix +/i
/** A parameter with what stands around it. Colons are allowed in bare values for the sake of older servers. */
const parameter = /[ \t,]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~0-9A-Za-z:[\]/=-]+))[ \t]*(?=,|$)/y
const longestHeader = 4096

/** Reads the value of an `Authorization` header. @returns undefined where it is none of this scheme, malformed, or lacks a parameter */
export function parseXMatrix(header: string): RequestSignature | undefined {
  const start = scheme.exec(header)
  if (start === null || header.length > longestHeader) return undefined
  const found = parametersOf(header.slice(start[0].length))
  const origin = found?.get('origin')
  const keyId = found?.get('key')
  const signature = found?.get('sig')
  if (!origin || !keyId || !signature) return undefined
  return { origin, destination: found?.get('destination'), keyId, signature }
}

/** Parameters by their name in lower case; undefined where the list is malformed or names one twice. */
function parametersOf(list: string): Map<string, string> | undefined {
  const found = new Map<string, string>()
  let index = 0
  while (/[^ \t,]/.test(list.slice(index))) {
    parameter.lastIndex = index
    const match = parameter.exec(list)
    if (match === null) return undefined
    const [, name = '', quoted, bare] = match
    const key = name.toLowerCase()
    if (found.has(key)) return undefined
    found.set(key, quoted === undefined ? (bare ?? '') : quoted.replaceAll(/\\(.)/g, '$1'))
    index = parameter.lastIndex
  }
  return found
}

/** The object that the signature of a request covers. */
export function requestObject({ method, uri, origin, destination, content }: RequestToSign): JsonObject {
  return { method, uri, origin, destination, ...(content === undefined ? {} : { content }) }
}

/** The `Authorization` header of a request, signed with a key of its origin. */
export function signRequest(request: RequestToSign, key: SigningKey): string {
  const signed = signJson(requestObject(request), request.origin, key)
  const signature = signaturesOf(signed, request.origin).get(key.keyId) ?? ''
  return `X-Matrix origin="${request.origin}",destination="${request.destination}",key="${key.keyId}",sig="${signature}"`
}
