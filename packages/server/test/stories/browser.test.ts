/** A browser, as the web clients use it: another origin, preflights, cryptography with IndexedDB, messages in both directions. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { build } from 'esbuild'
import { EventType } from 'matrix-js-sdk'
import type { Page as BrowserPage } from 'playwright-core'
import type { Page } from './browser-page.ts'
import { openBrowser } from '../kit/browser.ts'
import { within } from '../kit/deadline.ts'
import { readMessage, registerSdkUser, seen } from '../kit/sdk-client.ts'
import { repository, ServerProcess } from '../kit/server-process.ts'

const wasm = join(repository, 'node_modules/@matrix-org/matrix-sdk-crypto-wasm/pkg/matrix_sdk_crypto_wasm_bg.wasm')

/** The page on an origin of its own. @returns its URL */
async function servePage(t: TestContext): Promise<string> {
  const bundle = await build({
    entryPoints: [join(import.meta.dirname, 'browser-page.ts')], bundle: true, format: 'esm', platform: 'browser', target: 'esnext',
    write: false, logLevel: 'error', define: { global: 'globalThis' },
  })
  const script = bundle.outputFiles[0]?.contents
  assert.ok(script)
  const files = new Map<string, [type: string, content: Uint8Array | string]>([
    ['/', ['text/html', '<!doctype html><title>A client</title><script type="module" src="/page.js"></script>']],
    ['/page.js', ['text/javascript', script]],
    ['/pkg/matrix_sdk_crypto_wasm_bg.wasm', ['application/wasm', await readFile(wasm)]],
  ])
  const server = createServer((request, response) => {
    const [type, content] = files.get(request.url ?? '') ?? []
    if (type === undefined) response.writeHead(404).end()
    else response.writeHead(200, { 'content-type': type }).end(content)
  })
  server.listen(0, 'localhost')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return `http://localhost:${address.port}/`
}

/** Calls a function of the page and waits for its result. */
function call<Name extends keyof Page>(browser: BrowserPage, name: Name, ...args: Parameters<Page[Name]>): Promise<Awaited<ReturnType<Page[Name]>>> {
  return within(`page.${name} in the browser`, browser.evaluate<Awaited<ReturnType<Page[Name]>>>(`page.${name}(...${JSON.stringify(args)})`))
}

test('a page of another origin logs in, receives what another client sends, and answers', async (t) => {
  const server = await ServerProcess.start(t)
  const alice = await registerSdkUser(t, server.url, 'alice')
  const account = { username: 'wanda', password: 'password-of-wanda', auth: { type: 'm.login.dummy' }, inhibit_login: true }
  await server.anonymous().post('/register', account).ok()
  const browser = await openBrowser(t, await servePage(t))
  await browser.waitForFunction('globalThis.page !== undefined')

  assert.equal(await call(browser, 'refused', `${server.url}/_matrix/client/v3/presence/%40a%3Ab/status`), '401 M_UNKNOWN_TOKEN')
  const wanda = await call(browser, 'logIn', server.url, 'wanda', account.password)
  assert.equal(wanda, '@wanda:test.example')

  const encryption = { type: EventType.RoomEncryption, state_key: '', content: { algorithm: 'm.megolm.v1.aes-sha2' } }
  const { room_id: room } = await alice.client.createRoom({ invite: [wanda], initial_state: [encryption] })
  await call(browser, 'join', room)
  await seen(alice, 'Wanda in the room', () => alice.client.getRoom(room)?.getMember(wanda)?.membership === 'join')

  const { event_id: greeting } = await alice.client.sendTextMessage(room, 'Hello browser')
  assert.equal(await call(browser, 'read', room, greeting), 'Hello browser')
  assert.equal(await readMessage(alice, room, await call(browser, 'say', room, 'Hello Alice')), 'Hello Alice')
  assert.deepEqual(server.errors, [])
})
