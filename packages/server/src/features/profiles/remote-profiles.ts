/**
 * Asks other servers for profiles of their users.
 *
 * Spec: server-server API, `GET /query/profile`.
 */
import { refuse } from '@myelin/protocol/errors.ts'
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import { serverOf } from '@myelin/protocol/ids/user-id.ts'
import type { JsonValue } from '@myelin/protocol/json/json.ts'
import { FederationRefusal, pathOf, type Federation } from '#features/federation/federation.ts'
import { longestProfileBytes } from './profile-field.ts'
import type { Profile, RemoteProfiles } from './profiles.ts'

/** Profiles of other servers, not kept. */
export function remoteProfiles(federation: Pick<Federation, 'allows' | 'request'>): RemoteProfiles {
  return {
    profileOf: async (userId: UserId): Promise<Profile> => {
      const server = serverOf(userId)
      if (!federation.allows(server)) throw unknown()
      try {
        const answer = await federation.request(server, {
          method: 'GET', path: pathOf(['federation/v1/query/profile'], { user_id: userId }), insists: true, maxBytes: 2 * longestProfileBytes,
        })
        return new Map(Object.entries(answer).filter((field): field is [string, JsonValue] => isUsable(...field)))
      } catch (error) {
        throw error instanceof FederationRefusal ? unknown() : error
      }
    },
  }
}

/** Whether a field has the type that clients rely on. */
function isUsable(name: string, value: JsonValue | undefined): boolean {
  return name === 'displayname' || name === 'avatar_url' ? typeof value === 'string' : value !== undefined
}

function unknown(): Error {
  return refuse('M_NOT_FOUND', 'There is no profile of this user.')
}
