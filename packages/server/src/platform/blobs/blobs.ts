/** A folder of large files: written as streams, complete and durable before they get their name. */
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat, unlink, type FileHandle } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'
import type { Readable } from 'node:stream'

/** More bytes came than the caller allows. */
export class BlobTooLarge extends Error {
  override readonly name = 'BlobTooLarge'
  readonly limitBytes: number

  constructor(limitBytes: number) {
    super(`more than ${limitBytes} bytes`)
    this.limitBytes = limitBytes
  }
}

/** A blob that was written completely but has no name yet; it must be kept or discarded. */
export interface StagedBlob {
  readonly sizeBytes: number
  /** Digest of the content, in hexadecimal digits. */
  readonly sha256: string
  /** Gives the blob its name, durably; an older blob of the name is replaced. */
  keep(name: string): Promise<void>
  discard(): Promise<void>
}

const stagingFolder = '.staging'

/** The blobs below one folder, by names with slashes such as `local_content/aa/bb/rest`. */
export class Blobs {
  readonly #root: string

  /** @param root absolute path of the folder; it is made when the first blob is written */
  constructor(root: string) {
    this.#root = resolve(root)
  }

  /**
   * Writes a stream to a temporary file.
   * @throws BlobTooLarge as soon as more than `limitBytes` have come; the stream's own error when it breaks off
   */
  async write(source: Readable, limitBytes: number): Promise<StagedBlob> {
    // An error that comes before the loop below listens is thrown by the loop.
    source.once('error', () => undefined)
    const path = await this.stagingPath()
    const hash = createHash('sha256')
    let sizeBytes = 0
    const file = await open(path, 'wx', 0o640)
    try {
      for await (const chunk of source) {
        const bytes: Buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk)
        sizeBytes += bytes.length
        if (sizeBytes > limitBytes) throw new BlobTooLarge(limitBytes)
        hash.update(bytes)
        await writeAll(file, bytes)
      }
      await file.sync()
    } catch (error) {
      await file.close()
      await rm(path, { force: true })
      throw error
    }
    await file.close()
    const sha256 = hash.digest('hex')
    return { sizeBytes, sha256, keep: (name) => this.#rename(path, name), discard: () => rm(path, { force: true }) }
  }

  /** Path of a file that does not exist yet, for a program that writes by itself; to be given to `adopt` or `drop`. */
  async stagingPath(): Promise<string> {
    const folder = join(this.#root, stagingFolder)
    await mkdir(folder, { recursive: true })
    return join(folder, randomBytes(16).toString('hex'))
  }

  /** Makes a file at a `stagingPath` durable and gives it its name. Answers its size in bytes. */
  async adopt(path: string, name: string): Promise<number> {
    await sync(path)
    await this.#rename(path, name)
    return (await stat(this.path(name))).size
  }

  /** Removes a file at a `stagingPath`, if it was written. */
  drop(path: string): Promise<void> {
    return rm(path, { force: true })
  }

  /** Absolute path of a blob. Throws where a name would leave the folder. */
  path(name: string): string {
    const path = resolve(this.#root, name)
    if (!path.startsWith(this.#root + sep)) throw new Error(`the blob name ${JSON.stringify(name)} leaves its folder`)
    return path
  }

  /**
   * The content, or a part of it.
   * @param range first and last byte, both included
   * @returns undefined when the file is not there
   */
  async read(name: string, range?: { readonly first: number; readonly last: number }): Promise<Readable | undefined> {
    const file = await this.#open(name)
    if (file === undefined) return undefined
    return createReadStream('', { fd: file, autoClose: true, ...(range === undefined ? {} : { start: range.first, end: range.last }) })
  }

  /** The first bytes, fewer where the blob is shorter; undefined when it is not there. */
  async head(name: string, sizeBytes: number): Promise<Buffer | undefined> {
    const file = await this.#open(name)
    if (file === undefined) return undefined
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(sizeBytes), 0, sizeBytes, 0)
      return buffer.subarray(0, bytesRead)
    } finally {
      await file.close()
    }
  }

  /** Removes a blob, or everything below a name; without effect when there is none. */
  async remove(name: string): Promise<void> {
    await rm(this.path(name), { recursive: true, force: true })
  }

  /** Removes what a process that died left half-written. Only for the start, before anything writes. */
  async removeStaged(): Promise<void> {
    const folder = join(this.#root, stagingFolder)
    for (const name of await namesIn(folder)) await unlink(join(folder, name))
  }

  async #open(name: string): Promise<FileHandle | undefined> {
    try {
      return await open(this.path(name), 'r')
    } catch (error) {
      if (isAbsent(error)) return undefined
      throw error
    }
  }

  async #rename(from: string, name: string): Promise<void> {
    const to = this.path(name)
    const folder = dirname(to)
    const made = await mkdir(folder, { recursive: true })
    await rename(from, to)
    // Every folder from the new file up to the first one that was there already has a new entry.
    const last = made === undefined ? folder : dirname(made)
    for (let each = folder; ; each = dirname(each)) {
      await sync(each)
      if (each === last || !each.startsWith(this.#root)) break
    }
  }
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let offset = 0; offset < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, offset)
    offset += bytesWritten
  }
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (isAbsent(error)) return []
    throw error
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'EISDIR' || error.code === 'ENOTDIR')
}
