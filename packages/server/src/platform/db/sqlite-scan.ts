/** What is said between an SQLite database and the thread that scans it. */

/** A read that the thread is asked for. */
export interface ScanRequest {
  readonly id: number
  readonly text: string
  readonly values: readonly unknown[]
}

/** Its rows, or why there are none. */
export type ScanAnswer =
  | { readonly id: number; readonly rows: readonly unknown[] }
  | { readonly id: number; readonly failure: ScanFailure }

/** A failure as it crosses the border of a thread. */
export interface ScanFailure {
  readonly message: string
  /** Whether the storage failed, and not the statement. */
  readonly isStorage: boolean
  readonly errcode: number | undefined
}
