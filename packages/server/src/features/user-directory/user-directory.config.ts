/** Options of user directory. */
import { boolean } from '#platform/config/kind.ts'
import { limit, option, options, section } from '#platform/config/option.ts'

export const userDirectoryOptions = options({
  user_directory: section({
    enabled: option(boolean, { default: true, doc: 'Search on/off.' }),
    search_all_users: option(boolean, {
      default: false,
      doc: 'Whether all known users are found, not only those who share a room or are in public rooms.',
    }),
    prefer_local_users: option(boolean, { default: false, doc: 'Rank local first.' }),
    exclude_remote_users: option(boolean, { default: false, doc: 'Hide remote.' }),
    show_locked_users: option(boolean, { default: false, doc: 'Show locked.' }),
  }, { doc: 'User directory.', effective: true }),
  rc_user_directory: limit(0.016, 200, { doc: 'Directory searches per user.', effective: true }),
})
