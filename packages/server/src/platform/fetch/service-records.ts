/** SRV records of the domain name system. */
import { resolveSrv } from 'node:dns/promises'
import type { SrvRecord } from 'node:dns'

/** Looks SRV records up; answers none where there are none. */
export type ResolveService = (name: string) => Promise<readonly SrvRecord[]>

/** The system's resolver. A failure counts as no record, because callers have another way to go then. */
export const systemResolveService: ResolveService = (name) => resolveSrv(name).catch(() => [])
