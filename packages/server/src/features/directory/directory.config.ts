/** Options of directory. */
import { boolean, choice, list, string } from '#platform/config/kind.ts'
import { object, option, options } from '#platform/config/option.ts'

export const directoryOptions = options({
  allow_public_rooms_without_auth: option(boolean, { default: false, doc: 'GET publicRooms unauthenticated.', effective: true }),
  allow_public_rooms_over_federation: option(boolean, { default: false, doc: 'Serve directory to other servers.', effective: true }),
  enable_room_list_search: option(boolean, { default: true, doc: 'False: empty directory always.', effective: true }),
  require_membership_for_aliases: option(boolean, { default: true, doc: 'Must be in room to alias it.', effective: true }),
  alias_creation_rules: option(list(object({
    user_id: option(string, { doc: 'Glob.' }),
    alias: option(string, { doc: 'Glob.' }),
    room_id: option(string, { doc: 'Glob.' }),
    action: option(choice('allow', 'deny'), { default: 'allow', doc: 'Allow/deny.' }),
  })), { doc: 'Ordered allow/deny, first match, default deny if none match.', effective: true }),
  room_list_publication_rules: option(list(object({
    user_id: option(string, { doc: 'Glob.' }),
    alias: option(string, { doc: 'Glob.' }),
    room_id: option(string, { doc: 'Glob.' }),
    action: option(choice('allow', 'deny'), { default: 'allow', doc: 'Allow/deny.' }),
  })), { doc: 'Who may publish; default deny (admins may).', effective: true }),
})
