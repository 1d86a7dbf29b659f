/** The endpoint that tells what the server says about retention. */
import { refuse } from '@myelin/protocol/errors.ts'
import { endpoint } from '#platform/http/endpoint.ts'
import type { RetentionRules } from './room-retention.ts'

interface Needs {
  /** Undefined where the server does not tell. */
  readonly retentionConfiguration: RetentionRules | undefined
}

const configuration = endpoint({
  id: 'getRetentionConfiguration', method: 'GET', base: 'client', versions: ['unstable/org.matrix.msc1763'], path: '/retention/configuration', auth: 'user',
  spec: 'https://github.com/matrix-org/matrix-spec-proposals/pull/1763', limit: 'none', role: 'main', errors: ['M_UNRECOGNIZED'],
  handler: ({ retentionConfiguration: rules }: Needs) => {
    if (!rules) throw refuse('M_UNRECOGNIZED', 'This server does not tell how long it keeps messages; ask its administrator.')
    return {
      policies: { '*': present({ min_lifetime: rules.defaultMinMs, max_lifetime: rules.defaultMaxMs }) },
      limits: { max_lifetime: present({ min: rules.allowedMinMs, max: rules.allowedMaxMs }) },
    }
  },
})

/** Without what is null. */
function present(values: Readonly<Record<string, number | null>>): Readonly<Record<string, number | null>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null))
}

export const retentionRoutes = [configuration]
