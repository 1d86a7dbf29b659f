/** An event as redaction leaves it. */
import { redactPdu } from '@myelin/protocol/events/redact.ts'
import { canonicalJson } from '@myelin/protocol/json/canonical.ts'
import { roomEventOf } from './read-pdu.ts'
import { StoredEvent } from './stored-event.ts'

/**
 * The event without what redaction takes.
 * @param redaction the redaction that applies to it; none where the event only looks redacted to some
 */
export function redactedEvent(event: StoredEvent, redaction?: StoredEvent): StoredEvent {
  const pdu = redactPdu(event.room.version, event.event.pdu)
  return new StoredEvent(event.room, roomEventOf(event.room, event.event.eventId, pdu), canonicalJson(pdu), event, redaction)
}
