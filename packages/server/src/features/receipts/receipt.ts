/** A read receipt. */
import type { EventId, UserId } from '@myelin/protocol/ids/ids.ts'

/** Types of read receipts. */
export type ReceiptType = 'm.read' | 'm.read.private'

/** A read receipt, also a row of the receipts stream. */
export interface Receipt {
  readonly roomNid: number
  readonly userId: UserId
  readonly type: ReceiptType
  readonly eventId: EventId
  /** Root of the thread, `main`, or undefined for an unthreaded receipt. */
  readonly threadId: string | undefined
  /** Milliseconds since 1970. */
  readonly ts: number
}
