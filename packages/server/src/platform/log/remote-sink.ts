/** Lines to a log collector over TCP, Synapse's `RemoteHandler`. */
import { connect, type Socket } from 'node:net'
import type { Sink } from './sinks.ts'

const reconnectMs = 1000

/**
 * Sends lines to a collector; while it is away, the newest lines are kept.
 * @param maximumBuffer lines to keep at most
 */
export function remoteSink(host: string, port: number, maximumBuffer: number): Sink {
  let waiting: string[] = []
  let socket: Socket | undefined
  let ready = false
  let closed = false
  let retry: NodeJS.Timeout | undefined

  const send = (): void => {
    if (!ready || !socket || waiting.length === 0 || socket.writableNeedDrain) return
    const lines = waiting.join('')
    waiting = []
    socket.write(lines)
  }
  const open = (): void => {
    const opened = connect({ host, port })
    socket = opened
    opened.unref()
    opened.on('connect', () => {
      ready = true
      send()
    })
    opened.on('drain', send)
    // A lost collector must not stop the server, and a line about it would only wait in the same queue.
    opened.on('error', () => opened.destroy())
    opened.on('close', () => {
      ready = false
      if (!closed) retry = setTimeout(open, reconnectMs).unref()
    })
  }
  open()
  return {
    write: (lines) => {
      waiting.push(lines)
      if (waiting.length > maximumBuffer) waiting.splice(0, waiting.length - maximumBuffer)
      send()
    },
    close: () => {
      closed = true
      clearTimeout(retry)
      if (ready) socket?.end(waiting.join(''))
      else socket?.destroy()
      waiting = []
    },
  }
}
