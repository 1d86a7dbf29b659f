/** A homeserver that a test writes: real TLS, real signatures, and answers as the test wants them. */
import type { IncomingMessage } from 'node:http'
import { pipeline, Readable } from 'node:stream'
import type { TestContext } from 'node:test'
import { SigningKey } from '@myelin/protocol/crypto/ed25519.ts'
import { signJson } from '@myelin/protocol/crypto/sign-json.ts'
import type { EventSigner } from '@myelin/protocol/events/build.ts'
import { signRequest } from '@myelin/protocol/federation/x-matrix.ts'
import type { ServerName } from '@myelin/protocol/ids/ids.ts'
import type { JsonObject } from '@myelin/protocol/json/json.ts'
import { TestClient, type Sent } from './test-client.ts'
import type { TestServer } from './test-server.ts'
import { tlsDoor } from './tls-door.ts'
import { checkContract } from '../contract/recorder.ts'

/** A request that the remote received. */
export interface ReceivedRequest {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly authorization: string
  readonly body: JsonObject
}

type FakeBody = JsonObject | string | Buffer | Readable
/** What it answers: an object with the status 200, or a status, a body and headers. Only an object is turned into JSON. */
export type FakeAnswer = JsonObject | readonly [status: number, body: FakeBody, headers?: Readonly<Record<string, string>>]
type Handler = (request: ReceivedRequest) => FakeAnswer | Promise<FakeAnswer>

const dayMs = 24 * 3_600_000

export class FakeRemote {
  readonly serverName: ServerName
  readonly key: SigningKey
  readonly received: ReceivedRequest[] = []
  readonly #handlers = new Map<string, Handler>()
  readonly #matching: { method: string; matches: (path: string) => boolean; handler: Handler }[] = []

  private constructor(port: number, key: SigningKey) {
    this.serverName = `localhost:${port}` as ServerName
    this.key = key
    this.on('GET', '/_matrix/key/v2/server', () => this.keyDocument())
  }

  static async start(t: TestContext): Promise<FakeRemote> {
    const door = await tlsDoor(t)
    // The last byte keeps it apart from the keys that tests make of equal bytes.
    const seed = new Uint8Array(32).fill(door.port % 251).fill(255, 31)
    const remote = new FakeRemote(door.port, new SigningKey(`r${door.port}`, seed))
    door.serve((request, response) => {
      void remote.#answer(request).then(([status, body, headers]) => {
        response.writeHead(status, { 'content-type': 'application/json', ...headers })
        if (body instanceof Readable) pipeline(body, response, () => undefined)
        else response.end(typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body))
      })
    })
    return remote
  }

  /** Signs events of its users. */
  get signer(): EventSigner {
    return { serverName: this.serverName, key: this.key }
  }

  /** Answers requests to a path; the newest handler counts. */
  on(method: string, path: string, handler: Handler): void {
    this.#handlers.set(`${method} ${path}`, handler)
  }

  /** Answers requests to all paths that match and have no handler of their own; the newest counts. */
  onAny(method: string, matches: (path: string) => boolean, handler: Handler): void {
    this.#matching.unshift({ method, matches, handler })
  }

  /** How many requests to a path have come. */
  count(path: string): number {
    return this.received.filter((request) => request.path === path).length
  }

  /** The document of its keys, with fields replaced before it is signed. */
  keyDocument(extra: JsonObject = {}, key: SigningKey = this.key): JsonObject {
    const document = { server_name: this.serverName, valid_until_ts: Date.now() + dayMs, verify_keys: { [key.keyId]: { key: key.publicKey } }, old_verify_keys: {}, ...extra }
    return signJson(document, this.serverName, key)
  }

  /** The headers of a signed request. */
  sign(server: TestServer, method: string, path: string, content?: JsonObject, destination: string = server.serverName, key: SigningKey = this.key): { authorization: string } {
    return { authorization: signRequest({ method, uri: path, origin: this.serverName, destination, content }, key) }
  }

  /** Sends a signed request to a server. */
  send(server: TestServer, method: string, path: string, content?: JsonObject): Sent {
    return new TestClient({ url: server.url, observe: checkContract }).send(method, path, content, { headers: this.sign(server, method, path, content) })
  }

  async #answer(request: IncomingMessage): Promise<Exclude<FakeAnswer, JsonObject>> {
    const url = new URL(request.url ?? '/', 'https://localhost')
    const chunks: Buffer[] = []
    for await (const chunk of request) if (Buffer.isBuffer(chunk)) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString()
    const received: ReceivedRequest = {
      method: request.method ?? '', path: url.pathname, query: url.searchParams, authorization: request.headers.authorization ?? '', body: text === '' ? {} : JSON.parse(text),
    }
    this.received.push(received)
    const { method, path } = received
    const handler = this.#handlers.get(`${method} ${path}`) ?? this.#matching.find((each) => each.method === method && each.matches(path))?.handler
    const answer: FakeAnswer = handler ? await handler(received) : [404, { errcode: 'M_UNRECOGNIZED', error: 'Not scripted.' }]
    return isPair(answer) ? answer : [200, answer]
  }
}

function isPair(answer: FakeAnswer): answer is Exclude<FakeAnswer, JsonObject> {
  return Array.isArray(answer)
}
