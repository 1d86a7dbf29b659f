/**
 * Endpoints of the content repository.
 *
 * Spec: client-server API, "Content repository".
 */
import { Type } from 'typebox'
import { refuse } from '@myelin/protocol/errors.ts'
import { endpoint, type EndpointRequest } from '#platform/http/endpoint.ts'
import type { RawReply } from '#platform/http/reply.ts'
import { contentReply, longestFileName } from './media-reply.ts'
import { remoteBytesLimit } from './remote-media.ts'
import type { Media, MediaRequest, Upload } from './media.ts'
import type { WantedThumbnail } from './thumbnails.ts'

interface Needs {
  readonly media: Media
}

const spec = 'client-server-api/#content-repository'
const uploadQuery = Type.Object({ filename: Type.Optional(Type.String()) })
const fetchParameters = {
  allow_remote: Type.Optional(Type.Boolean()),
  timeout_ms: Type.Optional(Type.Integer()),
  allow_redirect: Type.Optional(Type.Boolean()),
}
const sizeParameters = {
  width: Type.Integer({ minimum: 1 }),
  height: Type.Integer({ minimum: 1 }),
  method: Type.Optional(Type.Union([Type.Literal('crop'), Type.Literal('scale')])),
  animated: Type.Optional(Type.Boolean()),
}
const downloadQuery = Type.Object(fetchParameters)
const thumbnailQuery = Type.Object({ ...fetchParameters, ...sizeParameters })
/** What other servers may say of the content that they want. */
export const federationDownloadQuery = Type.Object({ timeout_ms: fetchParameters.timeout_ms })
/** As `federationDownloadQuery`, for a thumbnail. */
export const federationThumbnailQuery = Type.Object({ timeout_ms: fetchParameters.timeout_ms, ...sizeParameters })
const contentUri = Type.Object({ content_uri: Type.String() })
const configReply = Type.Object({ 'm.upload.size': Type.Integer() })
/** How long content that is not uploaded yet is waited for where a request does not say. */
export const usualTimeoutMs = 20_000

type RawRequest = EndpointRequest<'user', unknown, { filename?: string | undefined }, undefined, 'raw'>

function uploadOf({ stream, headers, query }: RawRequest): Upload {
  const announced = headers['content-length']
  return {
    stream,
    announcedBytes: announced === undefined ? undefined : Number(announced),
    contentType: headers['content-type'],
    fileName: query.filename,
  }
}

interface FetchQuery {
  readonly allow_remote?: boolean | undefined
  readonly timeout_ms?: number | undefined
}

interface Fetch {
  readonly params: { readonly serverName: string; readonly mediaId: string }
  readonly query: FetchQuery
  readonly ip: string
  readonly signal: AbortSignal
}

function requestOf({ params, query, ip, signal }: Fetch, authenticated: boolean): MediaRequest {
  const { serverName, mediaId } = params
  return { serverName, mediaId, allowRemote: query.allow_remote ?? true, timeoutMs: query.timeout_ms ?? usualTimeoutMs, authenticated, ip, signal }
}

type DownloadRequest = Fetch & Pick<EndpointRequest, 'headers'>

async function download({ media }: Needs, request: DownloadRequest, authenticated: boolean, fileName?: string): Promise<RawReply> {
  if (fileName !== undefined && fileName.length > longestFileName) throw refuse('M_INVALID_PARAM', `The file name is longer than ${longestFileName} characters.`)
  const content = await media.content(requestOf(request, authenticated))
  return contentReply(fileName === undefined ? content : { ...content, fileName }, request.headers, authenticated ? 'private' : 'public')
}

type ThumbnailRequest = DownloadRequest & { readonly query: FetchQuery & Partial<WantedThumbnail> & Pick<WantedThumbnail, 'width' | 'height'> }

async function thumbnail({ media }: Needs, request: ThumbnailRequest, authenticated: boolean): Promise<RawReply> {
  const { width, height, method = 'scale', animated = false } = request.query
  const content = await media.thumbnail(requestOf(request, authenticated), { width, height, method, animated })
  return contentReply(content, request.headers, authenticated ? 'private' : 'public')
}

const uploadContent = endpoint({
  id: 'uploadContent', servlet: 'UploadServlet', method: 'POST', base: 'media', versions: ['v3', 'r0', 'v1'], path: '/upload', spec,
  auth: 'user', limit: 'none', role: 'media', query: uploadQuery, bodyKind: 'raw', reply: contentUri,
  errors: ['M_TOO_LARGE', 'M_INVALID_PARAM'],
  handler: async ({ media }: Needs, request) => ({ content_uri: await media.upload(request.requester.userId, uploadOf(request)) }),
})

const uploadContentToMxc = endpoint({
  id: 'uploadContentToMXC', servlet: 'AsyncUploadServlet', method: 'PUT', base: 'media', versions: ['v3'], path: '/upload/:serverName/:mediaId', spec,
  auth: 'user', limit: 'none', role: 'media', query: uploadQuery, bodyKind: 'raw',
  errors: ['M_NOT_FOUND', 'M_FORBIDDEN', 'M_CANNOT_OVERWRITE_MEDIA', 'M_TOO_LARGE', 'M_INVALID_PARAM'],
  handler: async ({ media }: Needs, request) => {
    await media.complete(request.requester.userId, request.params.serverName, request.params.mediaId, uploadOf(request))
    return {}
  },
})

const createContent = endpoint({
  id: 'createContent', servlet: 'CreateResource', method: 'POST', base: 'media', versions: ['v1'], path: '/create', spec,
  auth: 'user', limit: { rc: 'rc_media_create', by: 'user' }, role: 'media',
  reply: Type.Object({ content_uri: Type.String(), unused_expires_at: Type.Integer() }),
  errors: ['M_LIMIT_EXCEEDED'],
  handler: async ({ media }: Needs, { requester }) => {
    const created = await media.create(requester.userId)
    return { content_uri: created.contentUri, unused_expires_at: created.unusedExpiresAt }
  },
})

const configFields = { method: 'GET', path: '/config', spec, auth: 'user', limit: 'none', role: 'media', reply: configReply, errors: [] } as const
const config = ({ media }: Needs) => ({ 'm.upload.size': media.maxUploadBytes })

const getConfigAuthed = endpoint({ ...configFields, id: 'getConfigAuthed', servlet: 'MediaConfigResource', base: 'client', versions: ['v1/media'], handler: config })
const getConfig = endpoint({ ...configFields, id: 'getConfig', servlet: 'MediaConfigResource', base: 'media', versions: ['v3', 'r0', 'v1'], handler: config })

/** Errors of reading content. */
const errors = ['M_NOT_FOUND', 'M_NOT_YET_UPLOADED', 'M_INVALID_PARAM', 'M_TOO_LARGE', 'M_LIMIT_EXCEEDED', 'M_FORBIDDEN', 'M_CONNECTION_FAILED'] as const
/** Content of other servers is charged by the byte, to the address that asked for it. */
const remoteLimit = { rc: remoteBytesLimit, by: 'service' } as const
const authed = { method: 'GET', base: 'client', versions: ['v1/media'], spec, auth: 'guest', limit: remoteLimit, role: 'media' } as const
const frozen = { method: 'GET', base: 'media', versions: ['v3', 'r0', 'v1'], spec, auth: 'none', limit: remoteLimit, role: 'media' } as const
const contentPath = '/download/:serverName/:mediaId'
const namedPath = '/download/:serverName/:mediaId/:fileName'
const thumbnailFields = {
  servlet: 'ThumbnailResource', path: '/thumbnail/:serverName/:mediaId', query: thumbnailQuery, errors: [...errors, 'M_MISSING_PARAM', 'M_UNKNOWN'],
} as const

/** All of them. */
export const mediaEndpoints = [
  uploadContent,
  uploadContentToMxc,
  createContent,
  getConfigAuthed,
  getConfig,
  endpoint({
    ...authed, id: 'getContentAuthed', servlet: 'DownloadResource', path: contentPath, query: downloadQuery, errors,
    handler: (needs: Needs, request) => download(needs, request, true),
  }),
  endpoint({
    ...authed, id: 'getContentOverrideNameAuthed', servlet: 'DownloadResource', path: namedPath, query: downloadQuery, errors,
    handler: (needs: Needs, request) => download(needs, request, true, request.params.fileName),
  }),
  endpoint({ ...authed, ...thumbnailFields, id: 'getContentThumbnailAuthed', handler: (needs: Needs, request) => thumbnail(needs, request, true) }),
  endpoint({
    ...frozen, id: 'getContent', servlet: 'DownloadResource', path: contentPath, query: downloadQuery, errors,
    handler: (needs: Needs, request) => download(needs, request, false),
  }),
  endpoint({
    ...frozen, id: 'getContentOverrideName', servlet: 'DownloadResource', path: namedPath, query: downloadQuery, errors,
    handler: (needs: Needs, request) => download(needs, request, false, request.params.fileName),
  }),
  endpoint({ ...frozen, ...thumbnailFields, id: 'getContentThumbnail', handler: (needs: Needs, request) => thumbnail(needs, request, false) }),
] as const
