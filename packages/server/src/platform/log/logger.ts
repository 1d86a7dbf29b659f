/** What a service logs through. */

/** Structured values beside a log message; secrets are redacted where they are written. */
export type LogFields = Readonly<Record<string, unknown>>

/** One named logger, such as `synapse.access.http.8008`. */
export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
}
