/**
 * What is wrong with the configuration, in one line that starts with the key's path.
 *
 * The code that catches it prints the message and exits with status 2.
 */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  /** Dotted (`federation.max_pdus`); null where no single key is to blame. */
  readonly key: string | null

  constructor(key: string | null, what: string, options?: ErrorOptions) {
    super(key === null ? what : `${key}: ${what}`, options)
    this.key = key
  }
}
