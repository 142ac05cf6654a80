/**
 * Opens a TCP connection to an address that may be connected to.
 *
 * This is where addresses are checked, whatever was checked before: the text that was vetted is the text that the system is
 * given, and it is an address, so nothing is looked up between the two. Whoever opens connections otherwise (a proxy's
 * tunnel) is a `ConnectTcp` of its own, and says what it checks.
 */
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { codeOf, explainError } from './explain-error.ts'
import { opened } from './opened.ts'
import type { Timed } from './own-time.ts'
import type { VetAddress } from '../allow/vet.ts'

/** How far a connection got, in one line without the place; the code is that of the error. */
export interface Unconnected {
  readonly kind: 'failed'
  /** `address`: it was not tried, for it is not allowed. */
  readonly stage: 'address' | 'connect' | 'tls'
  readonly message: string
  readonly code: string | null
}

export type TcpConnected = { readonly kind: 'open'; readonly socket: Socket } | Unconnected

export interface TcpAttempt {
  /** An address; through a proxy also a name. */
  readonly host: string
  readonly port: number
  /** Its signal ends the attempt, and so does the end of its time; no socket stays open. */
  readonly runner: Timed
}

export type ConnectTcp = (attempt: TcpAttempt) => Promise<TcpConnected>

export function makeConnectTcp(vet: VetAddress): ConnectTcp {
  return async function connectTcp({ host, port, runner }) {
    const reason = vet(host)
    if (reason !== null) return { kind: 'failed', stage: 'address', message: reason, code: null }
    const socket = connect({ host, port, noDelay: true, lookup: neverLookUp })
    const error = await opened(socket, 'connect', runner.left(), runner.signal)
    if (error === null) return { kind: 'open', socket }
    return unconnected('connect', error)
  }
}

export const unconnected = (stage: Unconnected['stage'], error: Error): Unconnected => ({
  ...{ kind: 'failed', stage, message: explainError(error), code: codeOf(error) },
})

/** For a `vet` that lets a name pass: a defect, and not one that connects anywhere. */
function neverLookUp(
  host: string,
  _options: unknown,
  callback: (error: Error, address: string) => void,
): void {
  callback(Object.assign(new Error(`${host} is not an address`), { code: 'ENOTFOUND' }), '')
}
