/** Builds what exchanges ephemeral messages with other servers. */
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import type { DeviceListEdus } from '#features/edus/device-list-edus.ts'
import { PresenceEdus } from '#features/edus/presence-edus.ts'
import { ReceiptEdus } from '#features/edus/receipt-edus.ts'
import type { ToDeviceEdus } from '#features/edus/to-device-edus.ts'
import { TypingEdus } from '#features/edus/typing-edus.ts'
import type { Presence } from '#features/presence/presence.ts'
import type { Receipts } from '#features/receipts/receipts.ts'
import type { ToDevice } from '#features/to-device/to-device.ts'
import type { Outbox } from '#features/transactions/outbox.ts'
import type { Transactions } from '#features/transactions/transactions.ts'
import type { Typing } from '#features/typing/typing.ts'
import type { Clock } from '#platform/clock.ts'
import type { Logger } from '#platform/log/logger.ts'
import type { Engine } from './compose-engine.ts'

interface Inputs {
  readonly clock: Clock
  readonly logger: (name: string) => Logger
  readonly engine: Engine
  readonly serverName: ServerName
  readonly typing: Typing
  readonly receipts: Receipts
  readonly presence: Presence
  readonly toDevice: ToDevice
  readonly toDeviceEdus: ToDeviceEdus
  readonly deviceListEdus: DeviceListEdus
  readonly outbox: Outbox
  readonly transactions: Transactions
  readonly stack: AsyncDisposableStack
}

const hourMs = 3_600_000

/** Connects what changes here with the way to other servers, and what they say with what keeps it. */
export async function composeEdus(inputs: Inputs): Promise<void> {
  const { engine, clock, outbox, transactions, toDevice, toDeviceEdus, deviceListEdus, stack } = inputs
  const logger = inputs.logger('synapse.handlers.federation')
  const shared = { ...inputs, ...engine, sending: outbox, logger }
  const [typing, receipts, presence] = [new TypingEdus(shared), new ReceiptEdus(shared), new PresenceEdus(shared)]
  transactions.onEdu('m.typing', (origin, content) => typing.receive(origin, content))
  transactions.onEdu('m.receipt', (origin, content) => receipts.receive(origin, content))
  transactions.onEdu('m.presence', (origin, content) => presence.receive(origin, content))
  transactions.onEdu('m.direct_to_device', (origin, content) => toDeviceEdus.receive(origin, content))
  for (const type of ['m.device_list_update', 'm.signing_key_update', 'org.matrix.signing_key_update']) {
    transactions.onEdu(type, (origin, content) => deviceListEdus.receive(origin, content))
  }
  await toDeviceEdus.use({ toDevice, sending: outbox })
  await deviceListEdus.use(outbox)
  const timer = clock.every(hourMs, () => {
    toDeviceEdus.expire().catch((error: unknown) => logger.error('Old messages to devices of other servers could not be forgotten.', { error }))
  })
  stack.defer(() => timer.cancel())
}
