/** The terminal of the process. */
import { createInterface, type Interface } from 'node:readline'
import { Writable } from 'node:stream'
import { complainToFirst } from './daemon.ts'
import { CommandError, type Terminal } from './output.ts'

/** Standard input, output and error. Input that is no terminal is read line by line. */
export class ProcessTerminal implements Terminal {
  #lines: string[] | undefined
  #silent = false
  #reader: Interface | undefined
  #waiting: ((line: string | undefined) => void) | undefined
  #ended = false

  print(line: string): void {
    process.stdout.write(`${line}\n`)
  }

  complain(line: string): void {
    if (!complainToFirst(line)) process.stderr.write(`${line}\n`)
  }

  async ask(question: string, hidden = false): Promise<string> {
    process.stderr.write(question)
    this.#silent = hidden
    const line = await this.#nextLine()
    this.#silent = false
    if (hidden || !process.stdin.isTTY) process.stderr.write('\n')
    if (line === undefined) throw new CommandError('The input ended before every question was answered.')
    return line
  }

  /** Lets the process end. */
  close(): void {
    this.#reader?.close()
  }

  #nextLine(): Promise<string | undefined> {
    this.#open()
    const line = this.#lines?.shift()
    if (line !== undefined || this.#ended) return Promise.resolve(line)
    return new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  #open(): void {
    if (this.#reader) return
    const lines: string[] = []
    this.#lines = lines
    const echo = new Writable({
      write: (chunk, _, done) => {
        if (!this.#silent) process.stderr.write(chunk)
        done()
      },
    })
    const reader = createInterface({ input: process.stdin, output: echo, terminal: process.stdin.isTTY, historySize: 0 })
    this.#reader = reader
    reader.on('line', (line) => this.#deliver(line))
    reader.on('close', () => {
      this.#ended = true
      this.#deliver(undefined)
    })
    reader.on('SIGINT', () => reader.close())
  }

  #deliver(line: string | undefined): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting) waiting(line)
    else if (line !== undefined) this.#lines?.push(line)
  }
}
