/**
 * The index that finds the event of a room nearest to a moment; without it the search is correct but reads the whole room.
 *
 * Spec: client-server API, "GET /rooms/{roomId}/timestamp_to_event".
 */
import { indexUpdate } from '../background-update.ts'
import { countRows } from '../migration.ts'

export const eventsRoomTs = indexUpdate({
  name: 'events_room_ts',
  index: 'events_room_ts',
  on: 'ON events (room_nid, origin_server_ts)',
  total: (runner) => countRows(runner, 'events'),
})
