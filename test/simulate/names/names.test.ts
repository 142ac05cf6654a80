/** The names of a fleet lead where they should, for a discovery that knows nothing of the simulator: real DNS, TLS and HTTP. */
import { expect } from 'chai'
import { randomBytes } from 'node:crypto'
import { generateKey, readSigningKey } from '../../../src/matrix/signing.ts'
import { systemClock } from '../../../src/pace/clock.ts'
import { makeCertificateAuthority, type CertificateAuthority } from '../../../src/simulate/fleet/certs.ts'
import { startFakeHomeserver } from '../../../src/simulate/fleet/fake-homeserver.ts'
import { startFleet, type Fleet } from '../../../src/simulate/fleet/fleet.ts'
import { startNames, type FleetNames } from '../../../src/simulate/names/names.ts'
import { wayTo } from '../../../src/simulate/names/ways.ts'
import { makeRemotes } from '../../../src/wire/send.ts'
import type { Outbound } from '../../../src/daemon/open-outbound.ts'
import { outboundOnLoopback } from '../../discovery/outbound.ts'
import { connectAndSend } from '../../support/connect-and-send.ts'
import { aBody, name, origin } from '../../wire/setting.ts'

const COUNT = 12
const MINUTE_MS = 60_000

describe('the names of a fleet', () => {
  const key = readSigningKey(generateKey(randomBytes).fileText)
  let authority: CertificateAuthority
  let names: FleetNames
  let fleet: Fleet
  let outbound: Outbound & { troubles: unknown[] }

  before(async () => {
    authority = await makeCertificateAuthority(systemClock.now())
    names = await startNames(authority, systemClock)
    fleet = await startFleet({
      ...{ count: COUNT, origin, key, clock: systemClock, names },
      behaves: () => ({ kind: 'ok' }),
    })
  })
  after(async () => {
    await fleet.stop()
    await names.stop()
  })
  beforeEach(() => {
    outbound = outboundOnLoopback({
      ...{
        dns: names.dns.name,
        ports: names.ports,
        authority: authority.cert,
        pool: null,
        clock: systemClock,
      },
    })
  })
  afterEach(() => outbound.close())

  const called = (index: number) => name(fleet.at(index).serverName)

  /** Sends one event to the server at `index`; what came of it. */
  async function send(index: number, eventId: string): Promise<string> {
    const { connections, resolveTarget } = outbound
    const log = { debug: () => undefined, error: (about: unknown) => void outbound.troubles.push(about) }
    const remotes = makeRemotes({
      ...{ connections, resolveTarget, key, origin, userAgent: 'limpet/0.0.0', clock: systemClock, log },
    })
    const result = await connectAndSend(remotes)({
      ...{ destination: called(index), txnId: eventId, body: aBody(eventId), eventIds: [eventId] },
      ...{ timeoutMs: MINUTE_MS, stillHeld: () => true, signal: new AbortController().signal },
    })
    return result.kind
  }

  it('are found by every step of the specification that can end a discovery', async () => {
    const ways = Array.from({ length: COUNT }, (_, index) => wayTo(index).way)
    const found = ways.map((_way, index) => outbound.report(called(index), { anew: false }))
    expect((await Promise.all(found)).map(({ step }) => step)).to.deep.equal(ways)
    const all = ['1', '2', '3.1', '3.2', '3.3', '3.4', '3.5', '4', '5', '6']
    expect([...new Set(ways)].sort()).to.deep.equal(all)
  })

  it('use no port that needs a privilege', () => {
    const ports = [...Object.values(names.ports), ...fleet.servers.map(({ port }) => port)]
    for (const port of ports) expect(port).to.be.above(1023)
  })

  for (let index = 0; index < COUNT; index++) {
    it(`lead by step ${wayTo(index).way} to a server that objects to nothing, also when it was away`, async () => {
      const server = fleet.at(index)
      expect(await send(index, '$first')).to.equal('answered')
      await server.stop()
      expect(await send(index, '$away')).to.equal('failed')
      await server.restart()
      expect(await send(index, '$back')).to.equal('answered')
      expect([...server.received.keys()]).to.deep.equal(['$first', '$back'])
      expect(server.violations).to.deep.equal([])
    })
  }

  it('that are asked for under another Host header are heard of', async () => {
    const place = await names.place(3)
    const server = await startFakeHomeserver({
      ...{ ...place.called, tls: place.tls, hostHeader: () => 'another.example', origin, clock: systemClock },
      verifyKey: () => key.publicKey,
    })
    place.publish(server)
    try {
      expect(await send(3, '$one')).to.equal('answered')
      expect(server.violations).to.deep.equal([
        'asked for under the Host header s3.usual.test, not another.example',
      ])
    } finally {
      await server.stop()
    }
  })

  it('lead nowhere where the DNS server knows none of them', async () => {
    const empty = await startNames(authority, systemClock)
    try {
      const blind = outboundOnLoopback({
        ...{ dns: empty.dns.name, ports: names.ports, authority: authority.cert },
        ...{ pool: null, clock: systemClock },
      })
      for (let index = 0; index < COUNT; index++) {
        const { error } = await blind.report(called(index), { anew: false })
        if (wayTo(index).way === '1') expect(error).to.equal(null)
        else expect(error, called(index)).to.be.a('string')
      }
      await blind.close()
    } finally {
      await empty.stop()
    }
  })
})
