/** Options of server notices. */
import { boolean, string } from '#platform/config/kind.ts'
import { object, option, options } from '#platform/config/option.ts'

export const noticesOptions = options({
  server_notices: option(object({
    system_mxid_localpart: option(string, { doc: 'Localpart of the user in whose name the server speaks; nobody else must have this account.' }),
    system_mxid_display_name: option(string, { default: 'Notices', doc: 'Display name of that user.' }),
    system_mxid_avatar_url: option(string, { doc: 'Avatar of that user, an mxc:// URI.' }),
    room_name: option(string, { default: 'Server Notices', doc: 'Name of the rooms of notices.' }),
    room_avatar_url: option(string, { doc: 'Avatar of these rooms, an mxc:// URI.' }),
    room_topic: option(string, { doc: 'Topic of these rooms.' }),
    auto_join: option(boolean, { default: false, doc: 'Whether users are joined to their room instead of invited.' }),
  }), { doc: 'Notices of the server to its users, each in a room of their own.', effective: true }),
})
