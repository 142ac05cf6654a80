/** Our own resolver for callers that know only names and errors: with the codes of Node's `dns.lookup`, so that what explains errors explains these too. */
import type { Lookup } from '../../wire/target.ts'
import type { DnsFailed, DnsNone } from './outcome.ts'
import type { DnsResolver } from './resolver.ts'

const CODES: Readonly<Record<DnsFailed['code'], string>> = {
  SERVFAIL: 'ESERVFAIL',
  REFUSED: 'EREFUSED',
  MALFORMED: 'EBADRESP',
  TIMEOUT: 'EAI_AGAIN',
  UNREACHABLE: 'EAI_AGAIN',
  OURS: 'EAI_AGAIN',
}

export function makeLookup({ lookupAddresses }: Pick<DnsResolver, 'lookupAddresses'>): Lookup {
  return async function lookup(host) {
    const outcome = await lookupAddresses(host)
    if (outcome.kind === 'found') return outcome.records
    throw errorOf(host, outcome)
  }
}

function errorOf(hostname: string, outcome: DnsNone | DnsFailed): NodeJS.ErrnoException {
  const [code, why] =
    outcome.kind === 'failed' ? [CODES[outcome.code], outcome.why] : ['ENOTFOUND', 'the name has no address']
  return Object.assign(new Error(`${hostname}: ${why}`), { code, hostname, syscall: 'lookup' })
}
