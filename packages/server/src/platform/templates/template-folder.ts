/** A folder with templates of the operator. */
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Template, TemplateFault } from './template.ts'

export class TemplateFolder {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Path of a file in it. */
  pathOf(name: string): string {
    return join(this.#folder, name)
  }

  /** Reads a template at the start; undefined where there is no such file. @throws TemplateFault */
  readAtStart(name: string): Template | undefined {
    try {
      return Template.parse(readFileSync(this.pathOf(name), 'utf8'))
    } catch (error) {
      return this.#missing(name, error)
    }
  }

  /** Reads a template while the server runs. @param name must not come from a stranger unchecked */
  async read(name: string): Promise<Template | undefined> {
    try {
      return Template.parse(await readFile(this.pathOf(name), 'utf8'))
    } catch (error) {
      return this.#missing(name, error)
    }
  }

  #missing(name: string, error: unknown): undefined {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    if (error instanceof TemplateFault) throw new TemplateFault(`${this.pathOf(name)} cannot be used. ${error.message}`)
    throw new TemplateFault(`${this.pathOf(name)} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}
