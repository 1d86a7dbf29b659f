/**
 * What a sync tells a device alone: its messages and how many of its keys are left.
 *
 * Spec: client-server API, "Send-to-Device messaging", "Extensions to /sync" of both modules.
 */
import type { UserId } from '@myelin/protocol/ids/ids.ts'
import type { Cache } from '#platform/cache/cache.ts'
import type { SyncSources } from './sources.ts'

export class DeviceParts {
  readonly #sources: Pick<SyncSources, 'toDevice' | 'keys'>
  /** Up to which position a device is known to have no stored messages, so that nothing needs to be deleted. */
  readonly #clearUpTo: Cache<string, number>

  constructor(sources: Pick<SyncSources, 'caches' | 'toDevice' | 'keys'>) {
    this.#sources = sources
    this.#clearUpTo = sources.caches.cache('to_device_clear', () => 80)
  }

  /** Deletes the messages that the device has received, as its token shows. */
  async acknowledge(userId: UserId, deviceId: string, upTo: number): Promise<void> {
    const key = `${userId} ${deviceId}`
    if ((this.#clearUpTo.get(key) ?? -1) >= upTo) return
    await this.#sources.toDevice.acknowledge(userId, deviceId, upTo)
    this.#clearUpTo.set(key, upTo)
  }

  /** Messages to the device, JSON texts, and the position that the client has with them. */
  async messages(
    userId: UserId, deviceId: string, since: number, upTo: number, limit?: number,
  ): Promise<{ readonly messages: readonly string[]; readonly last: number }> {
    const { messages, last } = await this.#sources.toDevice.list(userId, deviceId, since, upTo, limit)
    const key = `${userId} ${deviceId}`
    if (messages.length === 0 && this.#clearUpTo.get(key) === since && last > since) this.#clearUpTo.set(key, last)
    return { messages, last }
  }

  /** Members of the answer about the device's keys. */
  async keys(userId: UserId, deviceId: string): Promise<string[]> {
    const [counts, fallback] = await Promise.all([
      this.#sources.keys.oneTimeKeyCounts(userId, deviceId), this.#sources.keys.unusedFallbackKeyTypes(userId, deviceId),
    ])
    const types = JSON.stringify(fallback)
    return [
      `"device_one_time_keys_count":${JSON.stringify(counts)}`,
      `"device_unused_fallback_key_types":${types}`,
      `"org.matrix.msc2732.device_unused_fallback_key_types":${types}`,
    ]
  }
}
