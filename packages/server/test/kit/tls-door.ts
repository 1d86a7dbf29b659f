/** A TLS server on a free port of this machine, whose certificate is valid for `localhost`. */
import { readFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

/** Path of the certificate, which is its own authority. */
export const certificatePath = fileURLToPath(new URL('tls/localhost.crt', import.meta.url))
const key = readFileSync(new URL('tls/localhost.key', import.meta.url))
const cert = readFileSync(certificatePath)

/** A door that is open before it is known who answers behind it, so that its port can be part of a name. */
export interface TlsDoor {
  readonly port: number
  /** Requests go there from now on. */
  serve(listener: RequestListener): void
  /** Cuts every request, or lets them through again. */
  setOpen(isOpen: boolean): void
}

/** Opens a door that closes with the test. */
export async function tlsDoor(t: TestContext): Promise<TlsDoor> {
  let answer: RequestListener = (_, response) => response.writeHead(503).end()
  let isShut = false
  const server = createServer({ key, cert }, (request, response) => {
    if (isShut) request.socket.destroy()
    else answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(async () => {
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  })
  const address = server.address() as AddressInfo
  return { port: address.port, serve: (listener) => { answer = listener }, setOpen: (isOpen) => { isShut = !isOpen } }
}
