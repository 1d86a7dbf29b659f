/** Endpoint that tells clients which servers carry calls. */
import { refuse } from '@myelin/protocol/errors.ts'
import { endpoint } from '#platform/http/endpoint.ts'

interface Needs {
  /** `matrix_rtc.transports`; undefined where the server does not tell them. */
  readonly rtcTransports: readonly object[] | undefined
}

const transports = endpoint({
  id: 'getRtcTransports', servlet: 'MatrixRTCRestServlet', method: 'GET', base: 'client', versions: ['unstable/org.matrix.msc4143'], path: '/rtc/transports',
  spec: 'https://github.com/matrix-org/matrix-spec-proposals/pull/4143', auth: 'user', limit: 'none', role: 'main', errors: ['M_UNRECOGNIZED'],
  handler: ({ rtcTransports }: Needs) => {
    if (!rtcTransports) throw refuse('M_UNRECOGNIZED', 'This server tells no transports for calls; ask its administrator.')
    return { rtc_transports: rtcTransports }
  },
})

export const rtcRoutes = [transports]
