/** Options of notices. */
import { boolean, string } from '#platform/config/kind.ts'
import { object, option, options } from '#platform/config/option.ts'

export const noticesOptions = options({
  server_notices: option(object({
    system_mxid_localpart: option(string, { doc: 'Localpart of sender (required to enable).' }),
    system_mxid_display_name: option(string, { default: 'Notices', doc: 'Name.' }),
    system_mxid_avatar_url: option(string, { doc: 'Avatar.' }),
    room_name: option(string, { default: 'Server Notices', doc: 'Room name.' }),
    room_avatar_url: option(string, { doc: 'Room avatar.' }),
    room_topic: option(string, { doc: 'Topic.' }),
    auto_join: option(boolean, { default: false, doc: 'Join instead of invite.' }),
  }), { doc: 'Server notice user.', effective: false }),
})
