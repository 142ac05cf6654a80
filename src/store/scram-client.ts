/**
 * A connection on which nothing is sent before the server has proved that it knows our password (SCRAM, RFC 5802).
 *
 * `pg` answers whatever a server asks for: a server that asks for the password gets it, and one that asks for nothing
 * is believed. A URL with `require_auth=scram-sha-256` (libpq's own parameter) demands the proof: the password is
 * never sent in the clear or as MD5, and a server that skips the exchange is left before the first statement.
 */
import { VerifiedClient } from './verified-client.ts'

/** What `pg` does at each message; its types leave it out, its version is fixed in package.json. */
interface Handlers {
  connection: { stream: { destroy(error: Error): void } }
  _handleAuthSASLFinal(message: unknown): void
  _handleReadyForQuery(message: unknown): void
}

const handlers = VerifiedClient.prototype as unknown as Handlers

/** A server that is not the one we look for. Nothing that is secret was sent to it. */
export class UnprovenServerError extends Error {
  override readonly name = 'UnprovenServerError'
  readonly code = 'UNPROVEN_SERVER'
}

export class ScramClient extends VerifiedClient {
  #proven = false

  protected _handleAuthCleartextPassword(): void {
    this.#leave('asks for the password in the clear')
  }

  protected _handleAuthMD5Password(): void {
    this.#leave('asks for the password as MD5')
  }

  protected _handleAuthSASLFinal(message: unknown): void {
    handlers._handleAuthSASLFinal.call(this as unknown as Handlers, message)
    // It is null where the server's signature was right, and only there.
    this.#proven = (this as unknown as { saslSession: unknown }).saslSession === null
  }

  protected _handleReadyForQuery(message: unknown): void {
    if (this.#proven) handlers._handleReadyForQuery.call(this as unknown as Handlers, message)
    else this.#leave('does not prove that it knows the password')
  }

  #leave(what: string): void {
    const error = new UnprovenServerError(`the database server ${what}; limpet answers only scram-sha-256`)
    ;(this as unknown as Handlers).connection.stream.destroy(error)
  }
}

/** How to connect to `url`: for `pg.Pool`, and for `new (clientFor(url))({ connectionString: url })`. */
export function clientFor(url: string): typeof VerifiedClient {
  return /[?&]require_auth=scram-sha-256(&|$)/.test(url) ? ScramClient : VerifiedClient
}
