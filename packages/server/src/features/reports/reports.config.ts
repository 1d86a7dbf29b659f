/** Options of reports. */
import { limit, options } from '#platform/config/option.ts'

export const reportsOptions = options({
  rc_reports: limit(1, 5, { doc: 'Reports per user.', effective: true }),
})
