/** Endpoints of this server's keys, and of other servers' keys for which it is a notary. */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import { isServerName } from '@myelin/protocol/ids/server-name.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import type { ServerKeys, WantedKeys } from './server-keys.ts'

interface Needs {
  readonly serverKeys: ServerKeys
}

const anchor = 'https://spec.matrix.org/v1.19/server-server-api/#'
/** Each server that is asked for may cost a request to it. */
const mostServers = 100

const getServerKey = endpoint({
  id: 'getServerKey', servlet: 'LocalKey', method: 'GET', base: 'key', versions: ['v2'], path: '/server/:keyId?',
  spec: `${anchor}get_matrixkeyv2server`, auth: 'none', limit: 'none', role: 'main', errors: [],
  handler: ({ serverKeys }: Needs) => serverKeys.ownDocument(),
})

const getServerKeys = endpoint({
  id: 'perspectivesKeyQuery', servlet: 'RemoteKey', method: 'GET', base: 'key', versions: ['v2'], path: '/query/:serverName/:keyId?',
  spec: `${anchor}get_matrixkeyv2queryservername`, auth: 'none', limit: 'none', role: 'generic',
  query: Type.Object({ minimum_valid_until_ts: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })) }),
  errors: ['M_INVALID_PARAM'],
  handler: async ({ serverKeys }: Needs, { params: { serverName, keyId }, query }) => {
    const wanted: WantedKeys = new Map(keyId === '' ? [] : [[keyId, query.minimum_valid_until_ts ?? 0]])
    return { server_keys: await serverKeys.query(new Map([[serverNameOf(serverName), wanted]])) }
  },
})

const queryServerKeys = endpoint({
  id: 'bulkPerspectivesKeyQuery', servlet: 'RemoteKey', method: 'POST', base: 'key', versions: ['v2'], path: '/query',
  spec: `${anchor}post_matrixkeyv2query`, auth: 'none', limit: 'none', role: 'generic',
  body: Type.Object({
    server_keys: Type.Record(Type.String(), Type.Record(Type.String(), Type.Object({ minimum_valid_until_ts: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })) }))),
  }),
  errors: ['M_INVALID_PARAM', 'M_BAD_JSON', 'M_NOT_JSON', 'M_MISSING_PARAM', 'M_TOO_LARGE'],
  handler: async ({ serverKeys }: Needs, { body }) => {
    const servers = Object.entries(body.server_keys)
    if (servers.length > mostServers) throw refuse('M_TOO_LARGE', `Keys of at most ${mostServers} servers can be asked for in one request.`)
    const wanted = servers.map(([name, keys]) => {
      const until = Object.entries(keys).map(([keyId, key]) => [keyId, key.minimum_valid_until_ts ?? 0] as const)
      return [serverNameOf(name), new Map(until)] as const
    })
    return { server_keys: await serverKeys.query(new Map(wanted)) }
  },
})

/** @throws M_INVALID_PARAM */
function serverNameOf(text: string): ServerName {
  if (!isServerName(text)) throw refuse('M_INVALID_PARAM', `"${text.slice(0, 255)}" is no name of a server.`)
  return text
}

export const serverKeysRoutes = [getServerKey, getServerKeys, queryServerKeys] as const
