/** What scenarios are made of. */
import { at, type Client, type User } from './client.ts'
import type { Cost, Server } from './server.ts'

/** Runs a numbered operation `count` times over `lanes` at once. */
export async function inLanes(count: number, lanes: number, operation: (index: number, lane: number) => Promise<unknown>): Promise<void> {
  let next = 0
  await Promise.all(Array.from({ length: lanes }, async (_, lane) => {
    for (let index = next++; index < count; index = next++) await operation(index, lane)
  }))
}

/** The value below which a share of the values lies; 0 where there are none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

/** Makes a room. @returns its id */
export async function createRoom(client: Client, user: User | undefined, body: object): Promise<string> {
  return String((await client.call('POST', '/createRoom', body, user?.token))['room_id'])
}

/** Sends a message; its text, which must be new in the run, is also its transaction id. */
export function post(client: Client, room: string, text: string, user: User | undefined): Promise<unknown> {
  return client.call('PUT', at(room, `/send/m.room.message/${text.replaceAll(' ', '-')}`), { msgtype: 'm.text', body: text }, user?.token)
}

/** The token that an initial `/sync` ends with. */
export async function since(client: Client, user: User | undefined): Promise<string> {
  return String((await client.call('GET', '/sync?timeout=0', undefined, user?.token))['next_batch'])
}

/**
 * Measures an operation after a tenth as many that do not count: compilers and caches of either server are then at work as they are in service.
 * @param operation gets numbers from 0 on, the uncounted ones first
 */
export async function steady(server: Server, figure: string, count: number, lanes: number, operation: (index: number, lane: number) => Promise<unknown>): Promise<Cost> {
  const warming = Math.ceil(count / 10)
  await inLanes(warming, lanes, operation)
  return server.measure(figure, count, () => inLanes(count, lanes, (index, lane) => operation(warming + index, lane)))
}
