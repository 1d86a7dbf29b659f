/**
 * Rendezvous by plain HTTP: a text at a URL, with entity tags.
 *
 * Spec: MSC4108, "Insecure rendezvous session", "API".
 */
import type { Readable } from 'node:stream'
import { refuse } from '@myelin/protocol/errors.ts'
import { endpoint, type EndpointRequest } from '#platform/http/endpoint.ts'
import { RawReply, withStatus } from '#platform/http/reply.ts'
import { ConcurrentWrite, maxDataBytes, type Rendezvous, type RendezvousSession } from './rendezvous.ts'

/** How devices meet by plain HTTP. */
export interface PlainRendezvous {
  readonly sessions: Rendezvous
  /** Base of the URLs of sessions, with a slash at its end. */
  readonly baseUrl: string
  /** Where sessions are made instead of here. */
  readonly delegatedTo: string | undefined
}

interface Needs {
  /** Undefined where the server has none (`experimental_features.msc4108_enabled`). */
  readonly plainRendezvous: PlainRendezvous | undefined
}

const spec = 'https://github.com/matrix-org/matrix-spec-proposals/pull/4108'
const session = { base: 'synapse-client', versions: [], path: '/rendezvous/:id', spec, auth: 'none', limit: 'none', role: 'main' } as const

function requireOn({ plainRendezvous }: Needs): PlainRendezvous {
  if (!plainRendezvous) throw refuse('M_UNRECOGNIZED', 'Devices cannot be logged in by code on this server (experimental_features.msc4108_enabled).')
  return plainRendezvous
}

function tag({ revision }: RendezvousSession): string {
  return `"${revision}"`
}

function headersOf(found: RendezvousSession): Record<string, string> {
  return {
    ETag: tag(found), Expires: new Date(found.expiresTs).toUTCString(), 'Last-Modified': new Date(found.modifiedTs).toUTCString(),
    'Cache-Control': 'no-store', Pragma: 'no-cache',
  }
}

/** The text of a request. @throws M_MISSING_PARAM, M_INVALID_PARAM, M_TOO_LARGE */
async function textOf({ headers, stream }: { readonly headers: EndpointRequest['headers']; readonly stream: Readable }): Promise<string> {
  const { 'content-length': length, 'content-type': type } = headers
  if (length === undefined || type === undefined) throw refuse('M_MISSING_PARAM', 'The headers Content-Length and Content-Type are needed.')
  if (type.split(';')[0]?.trim().toLowerCase() !== 'text/plain') throw refuse('M_INVALID_PARAM', 'The Content-Type must be text/plain.')
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > maxDataBytes) throw refuse('M_TOO_LARGE', `A session holds at most ${maxDataBytes} bytes.`)
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** The revision of `If-Match`: one strong tag. @throws M_MISSING_PARAM, M_INVALID_PARAM */
function seenBy(header: string | undefined): string {
  if (header === undefined) throw refuse('M_MISSING_PARAM', 'The header If-Match is needed, with the ETag of what you have read.')
  const revision = /^"([^"]*)"$/.exec(header.trim())?.[1]
  if (revision === undefined) throw refuse('M_INVALID_PARAM', 'If-Match must be one ETag as the server gave it.')
  return revision
}

const create = endpoint({
  id: 'createPlainRendezvous', method: 'POST', base: 'client', versions: ['unstable/org.matrix.msc4108'], path: '/rendezvous', spec,
  auth: 'none', limit: 'none', role: 'main', bodyKind: 'raw',
  errors: ['M_UNRECOGNIZED', 'M_MISSING_PARAM', 'M_INVALID_PARAM', 'M_TOO_LARGE', 'M_LIMIT_EXCEEDED'],
  handler: async (needs: Needs, request) => {
    const { sessions, baseUrl, delegatedTo } = requireOn(needs)
    if (delegatedTo !== undefined) return new RawReply({ status: 307, headers: { Location: delegatedTo } })
    const made = sessions.create(await textOf(request), request.ip)
    return withStatus(201, { url: `${baseUrl}_synapse/client/rendezvous/${made.id}` }, headersOf(made))
  },
})

const read = endpoint({
  ...session, id: 'readPlainRendezvous', method: 'GET', errors: ['M_UNRECOGNIZED', 'M_NOT_FOUND'],
  handler: (needs: Needs, { params, headers }) => {
    const found = requireOn(needs).sessions.require(params.id)
    if (headers['if-none-match']?.trim() === tag(found)) return new RawReply({ status: 304, headers: headersOf(found) })
    return new RawReply({ headers: { ...headersOf(found), 'Content-Type': 'text/plain' }, body: found.data })
  },
})

const write = endpoint({
  ...session, id: 'writePlainRendezvous', method: 'PUT', bodyKind: 'raw',
  errors: ['M_UNRECOGNIZED', 'M_NOT_FOUND', 'M_MISSING_PARAM', 'M_INVALID_PARAM', 'M_TOO_LARGE'],
  handler: async (needs: Needs, request) => {
    const { sessions } = requireOn(needs)
    const seen = seenBy(request.headers['if-match'])
    const text = await textOf(request)
    try {
      return new RawReply({ status: 202, headers: headersOf(sessions.write(request.params.id, seen, text)) })
    } catch (error) {
      if (!(error instanceof ConcurrentWrite)) throw error
      return withStatus(412, { errcode: 'M_UNKNOWN', 'org.matrix.msc4108.errcode': 'M_CONCURRENT_WRITE', error: error.message }, headersOf(error.current))
    }
  },
})

const remove = endpoint({
  ...session, id: 'removePlainRendezvous', method: 'DELETE', errors: ['M_UNRECOGNIZED', 'M_NOT_FOUND'],
  handler: (needs: Needs, { params }) => {
    requireOn(needs).sessions.remove(params.id)
    return new RawReply({ status: 204 })
  },
})

export const plainRendezvousRoutes = [create, read, write, remove]
