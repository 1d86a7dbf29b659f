/** Options of membership. */
import { boolean, duration, either, list, number, string } from '#platform/config/kind.ts'
import { limit, option, options, section } from '#platform/config/option.ts'

export const membershipOptions = options({
  block_non_admin_invites: option(boolean, { default: false, doc: 'Only admins may invite.', effective: true }),
  include_profile_data_on_invite: option(boolean, { default: true, doc: 'Put displayname/avatar in invite events.', effective: true }),
  room_prejoin_state: section({
    disable_default_event_types: option(boolean, { default: false, doc: 'Drop default types.' }),
    additional_event_types: option(list(either(string, list(string))), {
      default: [],
      doc: 'Further event types, or pairs of type and state key.',
    }),
  }, { doc: 'State shown to invitees/knockers.', effective: true }),
  room_invite_state_types: option(list(string), {
    default: null,
    doc: 'State shown to invitees; unset, the types that the specification names.',
    effective: true,
    deprecated: { since: '1.34', instead: 'Use room_prejoin_state' },
  }),
  rc_joins: section({
    local: limit(0.1, 10, { doc: 'Joins of rooms the server is in.' }),
    remote: limit(0.01, 10, { doc: 'Joins needing remote server.', effective: false }),
  }, { doc: 'Join limits.', effective: true }),
  rc_joins_per_room: limit(1, 10, { doc: 'Joins per room, all users.', effective: true }),
  rc_invites: section({
    per_room: limit(0.3, 10, { doc: 'Per room.' }),
    per_user: limit(0.003, 5, { doc: 'Per invited user.' }),
    per_issuer: limit(0.3, 10, { doc: 'Per inviter.' }),
  }, { doc: 'Invite limits (also incoming).', effective: true }),
  rc_third_party_invite: limit(0.2, 10, { doc: '3pid invites.', effective: true }),
  enable_3pid_lookup: option(boolean, { default: true, doc: 'Proxy lookups/invites by 3pid.', effective: true }),
  forget_rooms_on_leave: option(boolean, { default: false, doc: 'Leaving also forgets (m.forget_forced_upon_leave).', effective: true }),
  forgotten_room_retention_period: option(duration, { doc: 'Purge rooms this long after all local users forgot.', effective: true }),
  auto_accept_invites: section({
    enabled: option(boolean, { default: false, doc: 'Turns this part of the server on.' }),
    only_for_direct_messages: option(boolean, { default: false, doc: 'Only those to direct chats.' }),
    only_from_local_users: option(boolean, { default: false, doc: 'Local inviters only.' }),
    worker_to_run_on: option(string, { doc: 'Process that does it.' }),
  }, { doc: 'Accept invites on behalf of users.', effective: true }),
  limit_remote_rooms: section({
    enabled: option(boolean, { default: false, doc: 'Turns this part of the server on.' }),
    complexity: option(number, { default: 1, doc: 'Threshold (state events/500).' }),
    complexity_error: option(string, {
      default: 'Your homeserver is unable to join rooms this large or complex. Please speak to your server administrator, or upgrade your instance to join this room.',
      doc: 'Error text.',
    }),
    admins_can_join: option(boolean, { default: false, doc: 'Admins exempt.' }),
  }, { doc: 'Refuse joins to complex remote rooms.', effective: false }),
})
