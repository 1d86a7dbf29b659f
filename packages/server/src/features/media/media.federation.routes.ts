/**
 * Endpoints by which other servers fetch the content of this one.
 *
 * Spec: server-server API, "Content Repository".
 */
import { endpoint, type EndpointRequest } from '#platform/http/endpoint.ts'
import { federationDownloadQuery, federationThumbnailQuery, usualTimeoutMs } from './media.routes.ts'
import type { Media, MediaRequest } from './media.ts'
import { multipartReply } from './multipart-reply.ts'

interface Needs {
  readonly media: Media
  readonly serverName: string
}

type Fetch = Pick<EndpointRequest<'server', { readonly mediaId: string }, { readonly timeout_ms?: number | undefined }>, 'params' | 'query' | 'ip' | 'signal'>

function requestOf(serverName: string, { params, query, ip, signal }: Fetch): MediaRequest {
  return { serverName, mediaId: params.mediaId, allowRemote: false, timeoutMs: query.timeout_ms ?? usualTimeoutMs, authenticated: true, ip, signal }
}

const common = { method: 'GET', base: 'federation', versions: ['v1'], spec: 'server-server-api/#content-repository', auth: 'server', limit: 'none', role: 'media' } as const

const getContent = endpoint({
  ...common, id: 'getFederationContent', servlet: 'FederationMediaDownloadServlet', path: '/media/download/:mediaId', query: federationDownloadQuery,
  errors: ['M_NOT_FOUND', 'M_NOT_YET_UPLOADED', 'M_INVALID_PARAM'],
  handler: async ({ media, serverName }: Needs, request) => multipartReply(await media.content(requestOf(serverName, request))),
})

const getContentThumbnail = endpoint({
  ...common, id: 'getFederationContentThumbnail', servlet: 'FederationMediaThumbnailServlet', path: '/media/thumbnail/:mediaId', query: federationThumbnailQuery,
  errors: ['M_NOT_FOUND', 'M_NOT_YET_UPLOADED', 'M_INVALID_PARAM', 'M_MISSING_PARAM', 'M_UNKNOWN', 'M_TOO_LARGE'],
  handler: async ({ media, serverName }: Needs, request) => {
    const { width, height, method = 'scale', animated = false } = request.query
    return multipartReply(await media.thumbnail(requestOf(serverName, request), { width, height, method, animated }))
  },
})

export const mediaFederationRoutes = [getContent, getContentThumbnail] as const
