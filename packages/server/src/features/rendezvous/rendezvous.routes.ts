/**
 * Rendezvous by JSON.
 *
 * Spec: MSC4388, "Insecure rendezvous session", without transaction ids, as the clients of its unstable prefix speak it.
 */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import { endpoint, type EndpointRequest } from '#platform/http/endpoint.ts'
import { ConcurrentWrite, type Rendezvous } from './rendezvous.ts'

/** How devices meet by JSON. */
export interface JsonRendezvous {
  readonly sessions: Rendezvous
  /** Whether somebody without an account may make sessions. */
  readonly isOpen: boolean
}

interface Needs {
  /** Undefined where the server has none (`experimental_features.msc4388_mode`). */
  readonly jsonRendezvous: JsonRendezvous | undefined
}

const spec = 'https://github.com/matrix-org/matrix-spec-proposals/pull/4388'
const fields = { base: 'client', versions: ['unstable/io.element.msc4388'], spec, limit: 'none', role: 'main' } as const
const session = { ...fields, path: '/rendezvous/:id', auth: 'none' } as const

function requireOn({ jsonRendezvous }: Needs): JsonRendezvous {
  if (!jsonRendezvous) throw refuse('M_UNRECOGNIZED', 'Devices cannot be logged in by code on this server (experimental_features.msc4388_mode).')
  return jsonRendezvous
}

function mayCreate({ isOpen }: JsonRendezvous, requester: EndpointRequest<'optional'>['requester']): boolean {
  return isOpen || (requester !== undefined && !requester.isGuest)
}

const discover = endpoint({
  ...fields, id: 'discoverRendezvous', method: 'GET', path: '/rendezvous', auth: 'optional', errors: ['M_UNRECOGNIZED'],
  reply: Type.Object({ create_available: Type.Boolean() }),
  handler: (needs: Needs, { requester }) => ({ create_available: mayCreate(requireOn(needs), requester) }),
})

const create = endpoint({
  ...fields, id: 'createRendezvous', method: 'POST', path: '/rendezvous', auth: 'optional', body: Type.Object({ data: Type.String() }), bodyKind: 'json',
  errors: ['M_UNRECOGNIZED', 'M_FORBIDDEN', 'M_TOO_LARGE', 'M_LIMIT_EXCEEDED'],
  reply: Type.Object({ id: Type.String(), sequence_token: Type.String(), expires_in_ms: Type.Integer() }),
  handler: (needs: Needs, { requester, body, ip }) => {
    const rendezvous = requireOn(needs)
    if (!mayCreate(rendezvous, requester)) throw refuse('M_FORBIDDEN', 'Only a device that is logged in may show a code on this server; scan the code of that one instead.')
    const made = rendezvous.sessions.create(body.data, ip)
    return { id: made.id, sequence_token: made.revision, expires_in_ms: rendezvous.sessions.remainingMs(made) }
  },
})

const read = endpoint({
  ...session, id: 'readRendezvous', method: 'GET', errors: ['M_UNRECOGNIZED', 'M_NOT_FOUND', 'M_FORBIDDEN'],
  reply: Type.Object({ data: Type.String(), sequence_token: Type.String(), expires_in_ms: Type.Integer() }),
  handler: (needs: Needs, { params, headers }) => {
    const { sessions } = requireOn(needs)
    // What anybody may have put there is no page to be shown under the server's name.
    if (headers['sec-fetch-mode'] === 'navigate' || headers['sec-fetch-dest'] === 'document') throw refuse('M_FORBIDDEN', 'This is for Matrix clients, not to be opened in a browser.')
    const found = sessions.require(params.id)
    return { data: found.data, sequence_token: found.revision, expires_in_ms: sessions.remainingMs(found) }
  },
})

const write = endpoint({
  ...session, id: 'writeRendezvous', method: 'PUT', bodyKind: 'json', body: Type.Object({ sequence_token: Type.String(), data: Type.String() }),
  errors: ['M_UNRECOGNIZED', 'M_NOT_FOUND', 'M_TOO_LARGE', 'IO_ELEMENT_MSC4388_CONCURRENT_WRITE'], reply: Type.Object({ sequence_token: Type.String() }),
  handler: (needs: Needs, { params, body }) => {
    try {
      return { sequence_token: requireOn(needs).sessions.write(params.id, body.sequence_token, body.data).revision }
    } catch (error) {
      throw error instanceof ConcurrentWrite ? refuse('IO_ELEMENT_MSC4388_CONCURRENT_WRITE', error.message) : error
    }
  },
})

const remove = endpoint({
  ...session, id: 'removeRendezvous', method: 'DELETE', errors: ['M_UNRECOGNIZED', 'M_NOT_FOUND'],
  handler: (needs: Needs, { params }) => {
    requireOn(needs).sessions.remove(params.id)
    return {}
  },
})

export const rendezvousRoutes = [discover, create, read, write, remove]
