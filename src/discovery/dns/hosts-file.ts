/**
 * What `/etc/hosts` says of a name. Pure. A name that is listed there is not looked up in DNS, for neither family, as the system's own
 * resolver has it ("files dns"). `localhost` and what is below it are this machine, whatever the file says or doesn't (RFC 6761, 6.3).
 */
import { isIP } from 'node:net'
import { dnsNameOf } from './dns-name.ts'
import type { DnsAddress } from './outcome.ts'

export type HostsFile = (name: string) => readonly DnsAddress[] | null

const THIS_MACHINE: readonly DnsAddress[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
]

export function parseHostsFile(text: string): HostsFile {
  const listed = new Map<string, DnsAddress[]>()
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*$/, '').trim().split(/\s+/)
    const family = isIP(address)
    if (family !== 4 && family !== 6) continue
    for (const name of names) add(listed, dnsNameOf(name), { address, family })
  }
  return (name) =>
    listed.get(name) ?? (name === 'localhost' || name.endsWith('.localhost') ? THIS_MACHINE : null)
}

function add(listed: Map<string, DnsAddress[]>, name: string | null, entry: DnsAddress): void {
  if (name === null) return
  const known = listed.get(name)
  if (known === undefined) listed.set(name, [entry])
  else if (!known.some(({ address }) => address === entry.address)) known.push(entry)
}
