/**
 * `dns.lookup` as Node has it, for `net`, `tls` and got, on our own resolver.
 *
 * Its errors have the codes that Node's own have (`ENOTFOUND`, `ESERVFAIL`, …), so that what explains errors explains these too.
 */
import type { LookupAddress, LookupOptions } from 'node:dns'
import type { DnsFailed, DnsNone } from './outcome.ts'
import type { DnsResolver } from './resolver.ts'

export type NodeLookup = (
  hostname: string,
  options: LookupOptions,
  callback: (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void,
) => void

const CODES: Readonly<Record<DnsFailed['code'], string>> = {
  SERVFAIL: 'ESERVFAIL',
  REFUSED: 'EREFUSED',
  MALFORMED: 'EBADRESP',
  TIMEOUT: 'EAI_AGAIN',
  UNREACHABLE: 'EAI_AGAIN',
  OURS: 'EAI_AGAIN',
}

export function makeNodeLookup({ lookupAddresses }: Pick<DnsResolver, 'lookupAddresses'>): NodeLookup {
  return function lookup(hostname, options, callback) {
    const wanted = familyOf(options.family)
    void lookupAddresses(hostname).then((outcome) => {
      const found = outcome.kind === 'found' ? outcome.records : []
      const fitting = found.filter(({ family }) => wanted === 0 || family === wanted)
      const [first] = fitting
      if (first === undefined) callback(errorOf(hostname, outcome.kind === 'found' ? null : outcome), '', 0)
      else if (options.all === true)
        callback(
          null,
          fitting.map((one) => ({ ...one })),
        )
      else callback(null, first.address, first.family)
    })
  }
}

function familyOf(family: LookupOptions['family']): 0 | 4 | 6 {
  if (family === 4 || family === 'IPv4') return 4
  return family === 6 || family === 'IPv6' ? 6 : 0
}

function errorOf(hostname: string, outcome: DnsNone | DnsFailed | null): NodeJS.ErrnoException {
  const [code, why] =
    outcome?.kind === 'failed' ? [CODES[outcome.code], outcome.why] : ['ENOTFOUND', 'the name has no address']
  return Object.assign(new Error(`${hostname}: ${why}`), { code, hostname, syscall: 'lookup' })
}
