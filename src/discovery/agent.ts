/**
 * The agent of one request of got: its connection is the one that `dial` opens, and no other.
 *
 * Node never calls `lookup` for an IP address in a URL, and would resolve a name by itself; so the whole of connecting
 * is taken out of its hands. Nothing is kept alive: a pool for each host stays for ever.
 */
import { Agent } from 'node:https'
import type { Duplex } from 'node:stream'

/** Null: there is none to be had, and the caller knows why. */
type DialOne = () => Promise<Duplex | null>

export class DialledAgent extends Agent {
  readonly #dial: DialOne
  #over = false

  constructor(dial: DialOne) {
    super({ keepAlive: false })
    this.#dial = dial
  }

  /** Node's `Agent` calls this for a request; `created` gets the socket or the error. */
  override createConnection(
    _options: unknown,
    created: (error: Error | null, socket?: Duplex) => void,
  ): undefined {
    this.#dial().then((socket) => {
      // The request may have ended meanwhile.
      if (this.#over) socket?.destroy()
      if (socket === null || this.#over) created(new Error('no connection'))
      else created(null, socket)
    }, created)
  }

  override destroy(): void {
    this.#over = true
    super.destroy()
  }
}
