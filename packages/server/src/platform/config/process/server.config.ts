/** Options of server. */
import { boolean, duration, integer, list, path, string } from '#platform/config/kind.ts'
import { option, options } from '#platform/config/option.ts'

export const serverOptions = options({
  server_name: option(string, {
    doc: 'Name of the server, the domain in the ids of its users and rooms; cannot be changed later.',
    effective: true,
  }),
  pid_file: option(path, { doc: 'File with the process id of a daemon.', effective: true }),
  daemonize: option(boolean, { default: false, doc: 'Whether the server runs in the background; also -D.', effective: true }),
  print_pidfile: option(boolean, { default: false, doc: 'Whether the path of pid_file is printed before that.', effective: true }),
  user_agent_suffix: option(string, { doc: 'Text appended to the User-Agent of outgoing requests.', effective: false }),
  use_frozen_dicts: option(boolean, { default: false, doc: 'Of the Python program; accepted without effect.', effective: true }),
  soft_file_limit: option(integer, { default: 0, doc: 'Raise RLIMIT_NOFILE (0 = hard limit).', effective: false }),
  gc_thresholds: option(list(integer), { doc: 'Of the Python runtime; accepted without effect.', effective: true }),
  gc_min_interval: option(list(duration), {
    default: ['1s', '10s', '30s'],
    doc: 'Of the Python runtime; accepted without effect.',
    effective: true,
  }),
  hs_disabled: option(boolean, { default: false, doc: 'Refuse all requests with M_RESOURCE_LIMIT_EXCEEDED.', effective: true }),
  hs_disabled_message: option(string, {
    default: 'Homeserver is currently blocked',
    doc: 'Reason shown with hs_disabled.',
    effective: true,
  }),
  admin_contact: option(string, { doc: 'Mailto/URI shown in resource-limit errors.', effective: true }),
})
