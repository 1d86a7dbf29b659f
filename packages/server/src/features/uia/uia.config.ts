/** Options of uia. */
import { duration } from '#platform/config/kind.ts'
import { option, options, section } from '#platform/config/option.ts'

export const uiaOptions = options({
  ui_auth: section({
    session_timeout: option(duration, { default: 0, doc: 'How long one confirmation serves for further actions of the same kind.' }),
  }, { doc: 'User-interactive authentication.', effective: true }),
})
