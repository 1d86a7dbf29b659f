/** Options of profiles. */
import { boolean, bytes, list, string } from '#platform/config/kind.ts'
import { option, options } from '#platform/config/option.ts'

export const profilesOptions = options({
  require_auth_for_profile_requests: option(boolean, { default: false, doc: 'Profile GETs need a token.', effective: true }),
  limit_profile_requests_to_users_who_share_rooms: option(boolean, {
    default: false,
    doc: 'Profile only visible when sharing a room.',
    effective: true,
  }),
  allow_per_room_profiles: option(boolean, { default: true, doc: 'Allow room-specific displayname/avatar.', effective: true }),
  max_avatar_size: option(bytes, { doc: 'Bytes cap for avatars.', effective: true }),
  allowed_avatar_mimetypes: option(list(string), { doc: 'Mime allow-list for avatars.', effective: true }),
  enable_set_displayname: option(boolean, { default: true, doc: 'Users may change name (m.set_displayname).', effective: true }),
  enable_set_avatar_url: option(boolean, { default: true, doc: 'Users may change avatar.', effective: true }),
})
