/**
 * The Internet of the story of names: in a network of its own, with a DNS server on port 53, a `.well-known` on port 443, and three
 * homeservers that are found by their plain names, each in another way.
 *
 * The addresses are public ones, so limpet's default lists are in force. Wherever a server that took a wrong turn would end a trap
 * listens, which only counts.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createHttpsServer } from 'node:https'
import { createServer } from 'node:net'
import { systemClock } from '../../../src/pace/clock.ts'
import { startDnsServer } from '../../../src/simulate/dns/server.ts'
import type { ZoneData } from '../../../src/simulate/dns/zone.ts'
import type { CertificateAuthority } from '../../../src/simulate/fleet/certs.ts'
import { addAddresses, coverFiles } from '../../support/own-network.ts'
import type { Place } from './synapse.ts'

/** By step 6: neither `.well-known` nor SRV, so port 8448 of its own address. */
export const PLAIN: Place = place('plain.example', '8.8.1.1', 8448, 'plain.example')

/** By steps 3 and 3.2: `.well-known` delegates to a name with a port, and the certificate is for that name. */
export const DELEGATED: Place = place('delegating.example', '8.8.2.2', 8702, 'matrix.delegating.example')
const DELEGATING_ADDRESS = '8.8.2.1'

/** By step 4: no `.well-known`, but an SRV record. The certificate is for the server name, not for the record's target. */
export const BY_SRV: Place = place('by-srv.example', '8.8.3.2', 8703, 'by-srv.example')
export const SRV_TARGET = 'host7.by-srv.example'
const BY_SRV_ADDRESS = '8.8.3.1'

const TRAP = '8.8.9.9'
/** Places where nobody has anything to do: port 8448 of a name that leads elsewhere, and what a later step would find. */
const TRAPS = [DELEGATING_ADDRESS, BY_SRV_ADDRESS, TRAP].map((address) => ({ address, port: 8448 }))

const toTrap = { srv: [{ port: 8448, target: 'trap.example' }] }
const ZONE: ZoneData = {
  'plain.example': { a: [PLAIN.address] },
  'delegating.example': { a: [DELEGATING_ADDRESS] },
  'matrix.delegating.example': { a: [DELEGATED.address] },
  // A delegation comes before SRV, and one with a port is not looked up there.
  '_matrix-fed._tcp.delegating.example': toTrap,
  '_matrix-fed._tcp.matrix.delegating.example': toTrap,
  'by-srv.example': { a: [BY_SRV_ADDRESS] },
  '_matrix-fed._tcp.by-srv.example': { srv: [{ port: BY_SRV.port, target: SRV_TARGET }] },
  // The deprecated record comes after it.
  '_matrix._tcp.by-srv.example': toTrap,
  [SRV_TARGET]: { a: [BY_SRV.address] },
  'trap.example': { a: [TRAP] },
}

export interface SmallInternet {
  /** How often `/.well-known/matrix/server` was fetched, by whom: the `User-Agent` headers. */
  readonly fetched: readonly string[]
  /** Where something was connected to that nobody should go to: `ADDRESS:PORT`. */
  readonly trapped: readonly string[]
  close(): Promise<void>
}

/** Call it in a program of `inOwnNetwork` with mounts, before anybody looks up a name. */
export async function openSmallInternet(authority: CertificateAuthority): Promise<SmallInternet> {
  const homes = [PLAIN, DELEGATED, BY_SRV].map(({ address }) => address)
  addAddresses([...homes, ...TRAPS.map(({ address }) => address)])
  coverFiles({
    '/etc/resolv.conf': 'nameserver 127.0.0.1\n',
    '/etc/hosts': '127.0.0.1 localhost\n::1 localhost\n',
    '/etc/nsswitch.conf': onlyFilesAndDns(),
  })
  const dns = await startDnsServer({ zone: ZONE, clock: systemClock, port: 53 })

  const fetched: string[] = []
  const delegation = JSON.stringify({ 'm.server': `${DELEGATED.certificateFor}:${DELEGATED.port}` })
  const leaf = await authority.issue({ names: [DELEGATED.serverName] })
  const web = createHttpsServer(leaf, ({ url, headers }, response) => {
    if (url !== '/.well-known/matrix/server') return void response.writeHead(404).end()
    fetched.push(headers['user-agent'] ?? '')
    response.writeHead(200, { 'content-type': 'application/json' }).end(delegation)
  })
  web.listen(443, DELEGATING_ADDRESS)
  await once(web, 'listening')

  const trapped: string[] = []
  const traps = TRAPS.map(({ address, port }) =>
    createServer((socket) => {
      trapped.push(`${address}:${port}`)
      socket.on('error', () => undefined).destroy()
    }).listen(port, address),
  )
  await Promise.all(traps.map((trap) => once(trap, 'listening')))

  return {
    fetched,
    trapped,
    async close() {
      web.closeAllConnections()
      for (const server of [web, ...traps]) server.close()
      await dns.stop()
    },
  }
}

/** The machine's own file, except that host names are asked of nobody outside this network. */
function onlyFilesAndDns(): string {
  try {
    return readFileSync('/etc/nsswitch.conf', 'utf8').replace(/^hosts:.*$/m, 'hosts: files dns')
  } catch {
    return ''
  }
}

function place(serverName: string, address: string, port: number, certificateFor: string): Place {
  return { serverName, address, port, certificateFor }
}
