/** The benchmark's side of `observer.ts`. */
import { request } from 'node:http'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

/** Profiles a server figure by figure and notes how long its event loop was held up at worst. */
export class Observer {
  readonly #socket: string
  readonly #folder: string
  readonly #server: string

  /** @param folder where profiles go. @param server its name, part of the files' names */
  constructor(socket: string, folder: string, server: string) {
    this.#socket = socket
    this.#folder = folder
    this.#server = server
    mkdirSync(folder, { recursive: true })
  }

  /** What the server must be started with. */
  get environment(): Readonly<Record<string, string>> {
    return { MYELIN_BENCH_OBSERVER: this.#socket, NODE_OPTIONS: `--import=${join(import.meta.dirname, 'observer.ts')}` }
  }

  async begin(): Promise<void> {
    await this.#ask('/begin')
  }

  /** Writes the profile since `begin` and prints the worst delay. */
  async end(figure: string): Promise<void> {
    const file = join(this.#folder, `${this.#server} ${figure}.cpuprofile`.replaceAll(/[^\w.]+/g, '-'))
    const reply = await this.#ask(`/end?file=${encodeURIComponent(file)}`)
    const worstMs = typeof reply === 'object' && reply !== null && 'worstMs' in reply ? Number(reply.worstMs) : Number.NaN
    console.log(`${this.#server}, ${figure}: event loop's worst delay ${worstMs.toFixed(1)} ms; profile ${file}`)
  }

  #ask(path: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: this.#socket, path }, (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('end', () => resolve(JSON.parse(Buffer.concat(parts).toString())))
      })
      asked.on('error', reject)
      asked.end()
    })
  }
}
