/** What commands of the command line share: where they read and write, and how they fail. */

/** The streams of a command, so that tests can take their place. */
export interface Terminal {
  /** A line to standard output. */
  print(line: string): void
  /** A line to standard error. */
  complain(line: string): void
  /** Asks a question; without an echo for secrets. */
  ask(question: string, hidden?: boolean): Promise<string>
}

/** A failure that the user can mend; shown without a stack, exit status 1. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
}
