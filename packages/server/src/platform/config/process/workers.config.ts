/** Options of workers. */
import { boolean, either, integer, list, map, path, port, secret, shaped, string } from '#platform/config/kind.ts'
import { object, option, options, section } from '#platform/config/option.ts'
import { listener } from './listeners.config.ts'

/** One name or several. */
const writers = shaped(either(list(string), string), (names) => (typeof names === 'string' ? [names] : names))

export const workersOptions = options({
  redis: section({
    enabled: option(boolean, { default: false, doc: 'Required with workers.' }),
    host: option(string, { default: 'localhost', doc: 'Host of Redis.' }),
    port: option(integer, { default: 6379, doc: 'Port of Redis.' }),
    path: option(string, { default: '/tmp/redis.sock', doc: 'UNIX socket of Redis.' }),
    password: option(secret, { doc: 'Password of Redis.' }),
    password_path: option(path, { doc: 'File with the password of Redis.' }),
    dbid: option(string, { doc: 'Number of the database in Redis.' }),
    use_tls: option(boolean, { default: false, doc: 'Whether to use TLS.' }),
    certificate_file: option(path, { doc: 'Client certificate.' }),
    private_key_file: option(path, { doc: 'Client key.' }),
    ca_file: option(path, { doc: 'Certificate authorities.' }),
    ca_path: option(path, { doc: 'Folder of certificate authorities.' }),
  }, { doc: 'Redis settings.', effective: false }),
  instance_map: option(map(object({
    host: option(string, { doc: 'Host of its replication listener.' }),
    port: option(port, { doc: 'Port of it.' }),
    tls: option(boolean, { default: false, doc: 'Whether it speaks TLS.' }),
    path: option(string, { doc: 'UNIX socket in place of host and port.' }),
  })), { default: {}, doc: 'Where each process is reached; needs main.', effective: false }),
  stream_writers: section({
    events: option(writers, { default: [], doc: 'Processes that write events.' }),
    typing: option(writers, { default: [], doc: 'Processes that write typing.' }),
    to_device: option(writers, { default: [], doc: 'Processes that write to device.' }),
    account_data: option(writers, { default: [], doc: 'Processes that write account data.' }),
    receipts: option(writers, { default: [], doc: 'Processes that write receipts.' }),
    presence: option(writers, { default: [], doc: 'Processes that write presence.' }),
    push_rules: option(writers, { default: [], doc: 'Processes that write push rules.' }),
    device_lists: option(writers, { default: [], doc: 'Processes that write device lists.' }),
    thread_subscriptions: option(writers, { default: [], doc: 'Processes that write thread subscriptions.' }),
    quarantined_media_changes: option(writers, { default: [], doc: 'Processes that write quarantined media changes.' }),
  }, { doc: 'Stream -> writer(s).', effective: false }),
  worker_replication_secret: option(secret, { doc: 'Bearer for HTTP replication.', effective: false }),
  worker_replication_secret_path: option(path, { doc: 'File that holds worker_replication_secret.', effective: false }),
  start_pushers: option(boolean, { default: true, doc: 'Main runs pushers (legacy switch).', effective: false }),
  pusher_instances: option(list(string), { default: [], doc: 'Workers sending pushes.', effective: false }),
  send_federation: option(boolean, { default: true, doc: 'Main sends federation (legacy switch).', effective: false }),
  federation_sender_instances: option(list(string), { default: [], doc: 'Workers sending federation.', effective: false }),
  outbound_federation_restricted_to: option(list(string), {
    default: [],
    doc: 'Instances allowed to talk out; others proxy via them.',
    effective: false,
  }),
  run_background_tasks_on: option(string, { doc: 'Instance for background tasks.', effective: false }),
  update_user_directory_from_worker: option(string, { doc: 'Instance updating the directory.', effective: false }),
  update_user_directory: option(boolean, {
    default: true,
    doc: 'Update user directory.',
    effective: false,
    deprecated: { since: '1.59', instead: 'Use update_user_directory_from_worker' },
  }),
  notify_appservices_from_worker: option(string, { doc: 'Instance sending to appservices.', effective: false }),
  notify_appservices: option(boolean, {
    default: true,
    doc: 'Notify appservices.',
    effective: false,
    deprecated: { since: '1.59', instead: 'Use notify_appservices_from_worker' },
  }),
  media_instance_running_background_jobs: option(string, { doc: 'Media instance running jobs.', effective: false }),
  worker_app: option(string, { doc: 'Kind of this worker; makes the process a worker.', effective: false }),
  worker_name: option(string, { doc: 'Unique instance name.', effective: false }),
  worker_listeners: option(list(object(listener)), { default: [], doc: 'Where this worker listens; form of listeners.', effective: false }),
  worker_manhole: option(port, { doc: 'Port of the debug shell of this worker.', effective: false }),
  worker_daemonize: option(boolean, { default: false, doc: 'Whether this worker detaches after its start.', effective: false }),
  worker_pid_file: option(path, { doc: 'File with the process id of this worker.', effective: false }),
  worker_log_config: option(path, { doc: 'File that configures the log of this worker.', effective: false }),
  worker_main_http_uri: option(string, {
    doc: 'Worker main http uri.',
    effective: false,
    removed: { since: '1.73', instead: 'Remove it', stops: false },
  }),
  worker_replication_host: option(string, {
    doc: 'Worker replication host.',
    effective: false,
    removed: { since: '1.88', instead: 'Write the main process into instance_map, under the name main', stops: true },
  }),
  worker_replication_http_port: option(integer, {
    doc: 'Worker replication http port.',
    effective: false,
    removed: { since: '1.88', instead: 'Write the main process into instance_map, under the name main', stops: true },
  }),
  worker_replication_http_tls: option(boolean, {
    doc: 'Worker replication http tls.',
    effective: false,
    removed: { since: '1.88', instead: 'Write the main process into instance_map, under the name main', stops: true },
  }),
  worker_replication_port: option(integer, {
    doc: 'Worker replication port.',
    effective: false,
    removed: { since: '1.67', instead: 'Use redis', stops: false },
  }),
})
