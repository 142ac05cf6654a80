/**
 * Does discovery do what a case says? Asks it of real servers, connects to what it found, and compares cell by cell.
 */
import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { makeDiscovery } from '../../src/discovery/discovery.ts'
import type { Discovered } from '../../src/discovery/discovery.ts'
import type { AddressRecord, LookedUp, ServiceRecord } from '../../src/discovery/lookups.ts'
import { parseServerName } from '../../src/matrix/ids.ts'
import { systemClock } from '../../src/pace/clock.ts'
import type { Clock } from '../../src/pace/clock.ts'
import { makeDial } from '../../src/wire/dial.ts'
import type { Dial } from '../../src/wire/dial.ts'
import { makeHandshakeGate } from '../../src/wire/handshake-gate.ts'
import { makeWatchOverhead } from '../../src/wire/tls-overhead.ts'
import type { Target } from '../../src/wire/target.ts'
import { noLookup } from '../support/resolve-target.ts'
import { ADDRESSES } from './loopback.ts'
import type { Loopback } from './loopback.ts'
import type { Case, Situation, Web } from './situation.ts'

/** What a limit of ten seconds is for a server that never answers, so that no test waits for it. */
const SHORT_LIMIT_MS = 300
const LONG_LIMIT_MS = 30_000

export const testDial = (loopback: Loopback, clock: Clock = systemClock): Dial =>
  makeDial({
    ...{ vet: vetForTests, lookup: noLookup, secureContext: loopback.trust },
    connectTimeoutMs: 30_000,
    gate: makeHandshakeGate({ atOnce: 32, slotMs: 500 }),
    watchOverhead: makeWatchOverhead(),
    clock,
  })

/** In all of these tests one network is forbidden, also inside IPv6. */
export const vetForTests = (address: string): string | null =>
  /127\.0\.66\.|^::ffff:7f00:42/i.test(address) ? `${address} is in a forbidden network` : null

/** A clock that can be moved on, and whose waits are real. */
export function movableClock(): Clock & { move(ms: number): void } {
  let ahead = 0
  return {
    now: () => systemClock.now() + ahead,
    monotonic: () => systemClock.monotonic() + ahead,
    sleep: (ms, signal) => systemClock.sleep(ms, signal),
    move(ms) {
      ahead += ms
    },
  }
}

/** Where the case and what happens differ: one line a cell. */
export async function differences(wanted: Case, loopback: Loopback): Promise<string[]> {
  const clock = movableClock()
  const stop = new AbortController()
  const forbiddenBefore = loopback.forbidden()
  let situation = wanted.before?.situation ?? wanted.situation
  const bugs: unknown[] = []
  const discovery = makeDiscovery({
    lookUpServices: (name) => Promise.resolve(servicesIn(situation, name)),
    lookUpHost: (host) => Promise.resolve(addressesIn(situation, host)),
    vet: vetForTests,
    proxyFor: () => null,
    dial: testDial(loopback, clock),
    shared: null,
    ports: { https: loopback.httpsPort, matrix: 8448 },
    ...{ userAgent: 'limpet/0.0.0', clock, random: () => 0.5, signal: stop.signal },
    onTrouble: (error) => bugs.push(error),
    onBug: (error) => bugs.push(error),
    limits: {
      wellKnownMs: hasSilence(wanted) ? SHORT_LIMIT_MS : LONG_LIMIT_MS,
      patienceMs: hasSilence(wanted) ? 100 : 10_000,
    },
  })
  const serve = () => loopback.serve(pagesOf(situation), (name) => certificateIn(situation, name))
  const name = parseServerName(wanted.name)
  if (name === null) return [`name: ${wanted.name} is not a server name`]
  try {
    serve()
    if (wanted.before !== undefined) {
      await discovery.discover(name)
      clock.move(wanted.before.laterMs)
      situation = wanted.situation
      serve()
    }
    const discovered = await discovery.discover(name)
    const cells = [...compared(wanted, discovered), ...(await connected(wanted, discovered, loopback))]
    if (loopback.forbidden() !== forbiddenBefore) cells.push('a forbidden address was connected to')
    return [...cells, ...bugs.map((bug) => `threw ${String(bug)}`)]
  } finally {
    stop.abort()
  }
}

function compared(wanted: Case, discovered: Discovered): string[] {
  const { route, steps } = discovered
  const got: Record<string, unknown> = {
    steps: steps.map(({ step }) => step),
    step: route?.step,
    connect: route?.places.map(
      ({ host, port }) => `${host.name.includes(':') ? `[${host.name}]` : host.name}:${port}`,
    ),
    ...{ host: route?.hostHeader, sni: route?.sni, certificate: route?.tlsName },
  }
  const cells: [string, unknown][] = [['steps', wanted.steps], ...Object.entries(wanted.found ?? {})]
  const lines = cells.flatMap(([cell, value]) => unequal(cell, value, got[cell]))
  for (const [step, words] of Object.entries(wanted.says ?? {})) {
    const outcome = steps.find((taken) => taken.step === step)?.outcome ?? ''
    if (!outcome.includes(words)) lines.push(`says: wanted ${words}, got ${outcome}`)
  }
  const failed = discovered.kind === 'failed' ? discovered : null
  lines.push(...unequal('stage', wanted.failed?.stage, failed?.stage))
  if (wanted.failed !== undefined && failed?.message.startsWith(wanted.failed.message) === false) {
    lines.push(`message: wanted ${wanted.failed.message}, got ${failed.message}`)
  }
  return lines
}

function unequal(cell: string, wanted: unknown, got: unknown): string[] {
  const [one, other] = [wanted, got].map((value) => (value === undefined ? 'nothing' : JSON.stringify(value)))
  return one === other ? [] : [`${cell}: wanted ${one}, got ${other}`]
}

/** What a homeserver sees that has a certificate for the name of the case and no other. */
async function connected({ found }: Case, discovered: Discovered, loopback: Loopback): Promise<string[]> {
  if (found === undefined || discovered.kind === 'failed') return []
  const { certificate } = found
  const literal = certificate.includes(':') || /^[\d.]+$/.test(certificate)
  const homeserver = await loopback.homeserver(literal ? { ips: [certificate] } : { names: [certificate] })
  const lines: string[] = []
  for (const target of discovered.targets) {
    const trouble = await request({ ...target, port: homeserver.port }, testDial(loopback))
    if (trouble !== null) lines.push(`certificate: ${trouble}`)
    const seen = homeserver.seen.at(-1)
    lines.push(...unequal('host, as the server sees it', found.host, seen?.host))
    // Node's server has names in lower case.
    lines.push(
      ...unequal(
        'sni, as the server sees it',
        found.sni?.toLowerCase() ?? null,
        seen?.sni?.toLowerCase() ?? null,
      ),
    )
  }
  return lines
}

/** Null: it was answered. */
async function request(target: Target, dial: Dial): Promise<string | null> {
  const dialled = await dial(target, new AbortController().signal)
  if (dialled.kind === 'failed') return dialled.message
  const { socket } = dialled
  socket.write(`GET / HTTP/1.1\r\nHost: ${target.hostHeader}\r\nConnection: close\r\n\r\n`)
  const [answer] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  return answer.toString('latin1').startsWith('HTTP/1.1 200') ? null : answer.toString('latin1')
}

const hasSilence = ({ situation, before }: Case): boolean =>
  [situation, before?.situation ?? {}].some(({ web = {} }) => Object.values(web).includes('silent'))

const WHERE: Partial<Record<Extract<Web, string>, string>> = {
  silent: ADDRESSES.silent,
  refused: ADDRESSES.refused,
  resets: ADDRESSES.resets,
  'plain HTTP': ADDRESSES.plain,
  'forbidden address': ADDRESSES.forbidden,
}

function addressesIn(
  { web = {}, addresses = {}, cnames = {} }: Situation,
  host: string,
): LookedUp<AddressRecord> {
  const listed = addresses[host]
  if (listed === 'none') return { kind: 'none', ttlMs: 60_000 }
  if (listed === 'SERVFAIL') return { kind: 'failed', why: 'SERVFAIL' }
  const page = web[host]
  const where = typeof page === 'string' ? WHERE[page] : undefined
  const records = (listed ?? [where ?? ADDRESSES.serves]).map((address) => ({ address }))
  return {
    kind: 'found',
    records,
    ttlMs: 60_000,
    ...(cnames[host] === undefined ? {} : { cname: cnames[host] }),
  }
}

function servicesIn({ srv = {} }: Situation, name: string): LookedUp<ServiceRecord> {
  const listed = srv[name]
  if (listed === undefined) return { kind: 'none', ttlMs: 60_000 }
  if (typeof listed === 'string') return { kind: 'failed', why: listed }
  const records = listed.map((text) => {
    const [priority = '', weight = '', port = '', target = ''] = text.split(' ')
    return { priority: Number(priority), weight: Number(weight), port: Number(port), target }
  })
  return { kind: 'found', records, ttlMs: 60_000 }
}

function pagesOf({ web = {} }: Situation): RequestListener {
  return ({ headers: { host = '' }, url = '' }, response) => {
    const page = web[url === '/.well-known/matrix/server' ? host : `${host}${url}`]
    if (page === undefined || typeof page === 'string') response.writeHead(404).end()
    else response.writeHead(page.status ?? 200, page.headers).end(page.body ?? '')
  }
}

function certificateIn({ web = {} }: Situation, name: string) {
  const page = web[name]
  if (page === 'certificate for another name') return { names: ['another.example'] }
  if (page === 'expired certificate') return { names: [name], expired: true }
  return page === 'unknown authority' ? page : { names: [name] }
}
