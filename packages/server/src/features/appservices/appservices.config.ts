/** Options of appservices. */
import { boolean, list, path } from '#platform/config/kind.ts'
import { option, options } from '#platform/config/option.ts'

export const appservicesOptions = options({
  app_service_config_files: option(list(path), { default: [], doc: 'Registration files of application services.', effective: false }),
  track_appservice_user_ips: option(boolean, { default: false, doc: 'Record AS-driven user ips, MAU.', effective: false }),
  use_appservice_legacy_authorization: option(boolean, { default: false, doc: 'Also send access_token in query to AS.', effective: false }),
})
