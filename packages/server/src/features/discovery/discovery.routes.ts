/** Endpoints by which clients and servers find the server and learn what it can do. */
import { refuse } from '@myelin/protocol/errors.ts'
import { listRoomVersions } from '@myelin/protocol/rooms/versions.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import { RawReply, withStatus } from '#platform/http/reply.ts'
import { specVersions, unstableFeatures, type FeatureRules } from './unstable-features.ts'
import { wellKnownClient, wellKnownServer, type WellKnownRules } from './well-known.ts'

/** What users may do here. */
export interface CapabilityRules {
  readonly defaultRoomVersion: string
  readonly changePassword: boolean
  readonly setDisplayname: boolean
  readonly setAvatarUrl: boolean
  readonly changeThreepids: boolean
  readonly getLoginToken: boolean
  readonly forgetOnLeave: boolean
}

type Needs = {
  readonly featureRules: FeatureRules
  readonly wellKnownRules: WellKnownRules
  readonly capabilityRules: CapabilityRules
  readonly serverVersion: string
}

/** The documents for everybody may be kept, but not across users. */
const versionsHeaders = { 'Cache-Control': 'public, max-age=600', 'Vary': 'Authorization' }

const versions = endpoint({
  id: 'getVersions',
  servlet: 'VersionsRestServlet',
  method: 'GET', base: 'client', path: '/versions', versions: [],
  spec: 'client-server-api/#get_matrixclientversions',
  auth: 'optional', limit: 'none', role: 'generic', errors: ['M_UNKNOWN_TOKEN'],
  handler: ({ featureRules }: Needs, { requester }) => {
    const headers = requester ? { ...versionsHeaders, 'Cache-Control': 'private, max-age=600' } : versionsHeaders
    return withStatus(200, { versions: specVersions, unstable_features: unstableFeatures(featureRules) }, headers)
  },
})

const capabilities = endpoint({
  id: 'getCapabilities',
  servlet: 'CapabilitiesRestServlet',
  method: 'GET', base: 'client', path: '/capabilities', versions: ['v3', 'r0', 'unstable'],
  spec: 'client-server-api/#get_matrixclientv3capabilities',
  auth: 'user', limit: 'none', role: 'generic', errors: ['M_MISSING_TOKEN', 'M_GUEST_ACCESS_FORBIDDEN'],
  handler: ({ capabilityRules: rules }: Needs, { requester }) => {
    const fixed = [...(rules.setDisplayname ? [] : ['displayname']), ...(rules.setAvatarUrl ? [] : ['avatar_url'])]
    return {
      capabilities: {
        'm.change_password': { enabled: rules.changePassword },
        'm.room_versions': {
          default: rules.defaultRoomVersion,
          available: Object.fromEntries(listRoomVersions().map((version) => [version.id, 'stable'])),
        },
        'm.set_displayname': { enabled: rules.setDisplayname },
        'm.set_avatar_url': { enabled: rules.setAvatarUrl },
        'm.3pid_changes': { enabled: rules.changeThreepids },
        'm.get_login_token': { enabled: rules.getLoginToken },
        'm.profile_fields': { enabled: true, ...(fixed.length === 0 ? {} : { disallowed: fixed }) },
        'm.forget_forced_upon_leave': { enabled: rules.forgetOnLeave },
        ...(requester.isAdmin ? { 'm.account_moderation': { suspend: true, lock: true } } : {}),
      },
    }
  },
})

const clientWellKnown = endpoint({
  id: 'getWellknown',
  method: 'GET', base: 'root', path: '/.well-known/matrix/client', versions: [],
  spec: 'client-server-api/#getwell-knownmatrixclient',
  auth: 'none', limit: 'none', role: 'main', errors: ['M_NOT_FOUND'],
  handler: ({ wellKnownRules }: Needs) => {
    const document = wellKnownClient(wellKnownRules)
    if (!document) throw refuse('M_NOT_FOUND', 'There is no .well-known for clients here; the option public_baseurl is not set.')
    return document
  },
})

const serverWellKnown = endpoint({
  id: 'getServerWellknown',
  method: 'GET', base: 'root', path: '/.well-known/matrix/server', versions: [],
  spec: 'server-server-api/#getwell-knownmatrixserver',
  auth: 'none', limit: 'none', role: 'main', errors: ['M_NOT_FOUND'],
  handler: ({ wellKnownRules }: Needs) => {
    const document = wellKnownServer(wellKnownRules)
    if (!document) throw refuse('M_NOT_FOUND', 'There is no .well-known for servers here; the option serve_server_wellknown is off.')
    return new RawReply({ headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(document) })
  },
})

const serverVersion = endpoint({
  id: 'getServerVersion',
  method: 'GET', base: 'admin', path: '/server_version', versions: ['v1'],
  spec: 'admin_api/version_api.html',
  auth: 'none', limit: 'none', role: 'generic', errors: [],
  handler: ({ serverVersion: version }: Needs) => ({ server_version: version }),
})

export const discoveryEndpoints = [versions, capabilities, clientWellKnown, serverWellKnown, serverVersion] as const
