/**
 * Why could none of a target's addresses be used, in one line?
 *
 * The attempt that got farthest says it: a certificate that is refused on one address is what an operator has to know, not
 * that this machine has no IPv6. The others follow with their codes. A code of this process's own trouble comes first.
 */
import { hostAndPort } from '../allow/ip.ts'
import type { Unconnected } from './tcp.ts'

export interface FailedAt extends Unconnected {
  readonly host: string
  readonly port: number
}

const OURS = ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']
const NO_WAY = ['ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL']
const LONGEST_STAGE = { address: 0, connect: 2, tls: 3 }

/** `failures` are in the order of time; at least one. `name` is what the target is called: it is not told again. */
export function explainDial(
  failures: readonly FailedAt[],
  name: string,
): Pick<Unconnected, 'stage' | 'message'> {
  const most = Math.max(...failures.map(rank))
  const told = failures.findLast((failure) => rank(failure) === most)
  if (told === undefined) return { stage: 'connect', message: 'it has no addresses' }
  const others = failures.filter((failure) => failure !== told).map(briefly)
  return { stage: told.stage, message: [atLength(told, name), ...others].join('; ') }
}

function rank({ stage, code }: FailedAt): number {
  if (code !== null && OURS.includes(code)) return 4
  return code !== null && NO_WAY.includes(code) ? 1 : LONGEST_STAGE[stage]
}

function atLength({ stage, host, port, message }: FailedAt, name: string): string {
  if (host === name || stage === 'address') return message
  return `${stage === 'tls' ? 'TLS with' : 'connecting to'} ${hostAndPort(host, port)}: ${message}`
}

const briefly = ({ stage, host, port, message, code }: FailedAt): string =>
  stage === 'address' ? message : `${hostAndPort(host, port)}: ${code ?? message}`
