/**
 * What was owed to plain names by a limpet that could not find them, and what becomes of it after the upgrade: real DNS, TLS and HTTP, one
 * server for all the names.
 */
import { expect } from 'chai'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { mappedNetwork } from '../../src/daemon/open-outbound.ts'
import { migrate } from '../../src/store/migrate.ts'
import { systemClock } from '../../src/pace/clock.ts'
import { startDnsServer } from '../../src/simulate/dns/server.ts'
import { quietPort } from '../support/port.ts'
import { until } from '../support/poll.ts'
import { loopbackAuthority, makeWorld } from './world.ts'

/** Servers of one room. */
const OF_A_ROOM = 500
const HOURS_8 = 8 * 3_600_000
const SECOND_MS = 1_000

export async function upgradeOwing(names: number, perSecond: number): Promise<void> {
  const closers: (() => unknown)[] = []
  try {
    const receiver = await startReceiver(closers)
    const dns = await startDnsServer({ clock: systemClock })
    closers.push(() => dns.stop())
    const all = Array.from({ length: names }, (_, i) => `n${i}.plain.example`)
    for (const name of all) dns.zone.set(name, { a: ['127.0.0.1'] })
    const ports = { https: await quietPort(), matrix: receiver.port, dns: dns.port }
    const world = await makeWorld({
      settings: { federation: { dns_servers: [dns.name], ramp_per_second: perSecond } },
      network: () => mappedNetwork(ports),
    })
    closers.push(() => world.stop())

    const before = await world.start(['ingest'])
    for (let from = 0; from < names; from += OF_A_ROOM) {
      const room = `!room${from}:home.example`
      await world.ingest([
        { type: 'servers', room_id: room, set: all.slice(from, from + OF_A_ROOM) },
        world.event(room).item,
      ])
    }
    await before.stop()
    // As the release before leaves them, the last migration undone.
    await world.pool.query(
      `update destinations set failures = 14, failing_since = now_ms() - $1, retry_at = now_ms() + $1, retry_interval = $1,
              look_at = now_ms() + $1, last_attempt = now_ms(), attempt_seq = 14,
              last_error = '{"kind": "discovery", "status": null, "message": "server discovery comes in the next release", "at": 0}'`,
      [HOURS_8],
    )
    await world.pool.query(`delete from limpet_migrations where name = '0014_plain_names.sql'`)
    expect(await migrate(world.pool)).to.deep.equal(['0014_plain_names.sql'])

    const startedAt = systemClock.monotonic()
    await world.start()
    await until(() => Promise.resolve(receiver.arrived.size === names), {
      what: 'an event at every name',
      withinMs: 180_000 + (2 * names * SECOND_MS) / perSecond,
    })
    const times = [...receiver.arrived.values()].toSorted((a, b) => a - b)
    // None can be there before it was woken.
    const early = times.findIndex((at, n) => n + 1 > perSecond * (1 + (at - startedAt) / SECOND_MS))
    expect(early, `more than ${perSecond} a second`).to.equal(-1)
    await world.quiet()
    const { rows } = await world.pool.query(
      `select count(*)::int as behind from destinations where failures > 0 or position < (select head from stream) - $1`,
      [2 * Math.ceil(names / OF_A_ROOM)],
    )
    expect(rows).to.deep.equal([{ behind: 0 }])
  } finally {
    for (const close of closers.toReversed()) await close()
  }
}

/** One server for all names: when each was sent a PDU first. */
async function startReceiver(closers: (() => unknown)[]) {
  const arrived = new Map<string, number>()
  const { ca } = await loopbackAuthority()
  const server = createServer(await ca.issue({ names: ['*.plain.example'] }), (request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      const host = request.headers.host ?? ''
      const { pdus } = JSON.parse(body) as { pdus: unknown[] }
      if (pdus.length > 0 && !arrived.has(host)) arrived.set(host, systemClock.monotonic())
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"pdus":{}}')
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return { port: (server.address() as AddressInfo).port, arrived }
}
