/** Options of devices. */
import { duration } from '#platform/config/kind.ts'
import { option, options } from '#platform/config/option.ts'

export const devicesOptions = options({
  delete_stale_devices_after: option(duration, { doc: 'Log out devices unused that long (daily, main process).', effective: true }),
})
