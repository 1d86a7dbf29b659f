/** A mistake in a template that an operator has written, or in its file. */
export class TemplateFault extends Error {
  override readonly name = 'TemplateFault'

  /** A mistake in a line, counted from 1. */
  static inLine(line: number, what: string): TemplateFault {
    return new TemplateFault(`In line ${line} ${what}.`)
  }
}
