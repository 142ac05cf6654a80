/**
 * Any bytes, and answers with any damage, give an outcome; nothing throws, and what is found is what may be found.
 * `LIMPET_FUZZ_RUNS`: how many of each.
 */
import { expect } from 'chai'
import fc from 'fast-check'
import { FUZZ_RUNS } from '../../support/fuzz-runs.ts'
import { isIP } from 'node:net'
import packet from 'dns-packet'
import { dnsNameOf } from '../../../src/discovery/dns/dns-name.ts'
import { parseHostsFile } from '../../../src/discovery/dns/hosts-file.ts'
import type { DnsType } from '../../../src/discovery/dns/outcome.ts'
import { makeQueryPacket } from '../../../src/discovery/dns/query-packet.ts'
import { readDnsAnswer } from '../../../src/discovery/dns/read-answer.ts'
import type { DnsReading } from '../../../src/discovery/dns/read-answer.ts'
import { parseResolvConf } from '../../../src/discovery/dns/resolv-conf.ts'
import { parseDnsServerAddress } from '../../../src/allow/dns-server.ts'
import { startRawServer } from './raw-server.ts'
import { dnsSetting } from './setting.ts'

const numRuns = FUZZ_RUNS
const KINDS = ['records', 'nothing', 'onward', 'refusal', 'truncated', 'stray']

const type = fc.constantFrom<DnsType>('A', 'AAAA', 'SRV')
const name = fc.constantFrom('n.example', 'm.example', 'N.Example', 'example', 'x.n.example', '.')
const ttl = fc.constantFrom(0, 1, 300, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1)
const u16 = fc.integer({ min: 0, max: 65_535 })
const oddName = fc.oneof(name, fc.stringMatching(/^[a-z0-9 .%\\_-]{0,40}$/))

const record: fc.Arbitrary<packet.Answer> = fc.oneof(
  fc.record({ name, ttl, type: fc.constant('A' as const), data: fc.ipV4() }),
  fc.record({ name, ttl, type: fc.constant('AAAA' as const), data: fc.ipV6() }),
  fc.record({ name, ttl, type: fc.constant('CNAME' as const), data: oddName }),
  fc.record({ name, ttl, type: fc.constant('NS' as const), data: name }),
  fc.record({
    ...{ name, ttl, type: fc.constant('SRV' as const) },
    data: fc.record({ priority: u16, weight: u16, port: u16, target: oddName }),
  }),
  fc.record({
    ...{ name, ttl, type: fc.constant('SOA' as const) },
    data: fc.record({ mname: name, rname: name, minimum: ttl }),
  }),
  fc.record({ name, ttl, type: fc.constant('TXT' as const), data: fc.string() }),
)

interface Damage {
  at: number
  byte: number
}

const damage = fc.oneof(
  fc.constant<Damage[]>([]),
  fc.array(fc.record({ at: fc.nat(600), byte: fc.nat(255) }), { maxLength: 6 }),
)
const list = fc.array(record, { maxLength: 8 })
/** A CNAME of the name that is asked for, and what there is beside it. */
const led = fc
  .array(record, { maxLength: 2 })
  .map((others): packet.Answer[] => [
    { name: 'n.example', ttl: 60, type: 'CNAME', data: 'm.example' },
    ...others,
  ])
/** One record of each type that is asked for, under the name that is asked for, and what there is beside them. */
const found = fc
  .record({
    ttl,
    ipv4: fc.ipV4(),
    ipv6: fc.ipV6(),
    target: oddName,
    others: fc.array(record, { maxLength: 2 }),
  })
  .map(({ ttl, ipv4, ipv6, target, others }): packet.Answer[] => [
    { name: 'n.example', ttl, type: 'A', data: ipv4 },
    { name: 'n.example', ttl, type: 'AAAA', data: ipv6 },
    { name: 'n.example', ttl, type: 'SRV', data: { priority: 1, weight: 1, port: 8448, target } },
    ...others,
  ])
const some = fc.oneof(fc.constant<packet.Answer[]>([]), fc.array(record, { maxLength: 3 }))
const answers = fc.record({
  ...{ answers: fc.oneof(list, led, found), authorities: some, additionals: some },
  rcode: fc.oneof(fc.constant(0), fc.constantFrom(0, 1, 2, 3, 4, 5, 15)),
  ...{ flags: fc.constantFrom(0, 0, 0, packet.TRUNCATED_RESPONSE, packet.AUTHORITATIVE_ANSWER) },
  ...{ damage, cut: fc.option(fc.nat(400), { freq: 2 }) },
})

/** The bytes of an answer, with what is wrong with it. The question is whole, so that the rest is read at all. */
function bytesOf(
  { damage, cut, rcode, flags, ...sections }: typeof answers extends fc.Arbitrary<infer T> ? T : never,
  asked: { id: number; type: DnsType },
): Buffer {
  const questions = [{ name: 'n.example', type: asked.type }]
  const told = { type: 'response' as const, id: asked.id, flags: flags | rcode, questions, ...sections }
  const bytes = packet.encode(told)
  const afterQuestion = 12 + 'n.example'.length + 6
  for (const { at, byte } of damage as Damage[]) {
    const place = afterQuestion + at
    if (place < bytes.length) bytes[place] = byte
  }
  return cut === null ? bytes : bytes.subarray(0, Math.max(afterQuestion, bytes.length - cut))
}

function check(reading: DnsReading<unknown>, asked: DnsType): void {
  expect(KINDS).to.include(reading.kind)
  if (reading.kind === 'records') {
    expect(reading.records.length).to.be.within(1, 32)
    expect(reading.ttlS).to.be.within(0, 2 ** 31 - 1)
    for (const one of reading.records) {
      if (asked === 'SRV') {
        const { target, port } = one as { target: string; port: number }
        expect(target === '.' || isIP(target) === 4 || dnsNameOf(target) === target, target).to.equal(true)
        expect(port).to.be.within(0, 65_535)
      } else {
        expect(isIP((one as { address: string }).address)).to.equal(asked === 'A' ? 4 : 6)
      }
    }
  }
  if (reading.kind === 'nothing' && reading.ttlS !== null) expect(reading.ttlS).to.be.within(0, 2 ** 31 - 1)
  if (reading.kind === 'onward') expect(dnsNameOf(reading.cname)).to.equal(reading.cname)
}

describe('whatever DNS servers send', () => {
  const setting = dnsSetting()
  const query = { name: 'n.example', type: 'A' as const }

  it('as answers with any records and any damage, has a typed outcome', () => {
    const seen = new Map<string, number>()
    const property = fc.property(answers, type, u16, (told, asked, id) => {
      const sent = makeQueryPacket({ name: 'n.example', type: asked }, { id, edns: false })
      const reading = readDnsAnswer(bytesOf(told, { id, type: asked }), sent, {
        name: 'n.example',
        type: asked,
      })
      check(reading, asked)
      seen.set(reading.kind, (seen.get(reading.kind) ?? 0) + 1)
    })
    fc.assert(property, { numRuns })
    // It reaches them all but strays, which the next one makes.
    for (const kind of ['records', 'nothing', 'onward', 'refusal', 'truncated']) {
      expect(seen.get(kind) ?? 0, kind).to.be.above(numRuns / 200)
    }
  })

  it('as any bytes, has a typed outcome', () => {
    const sent = makeQueryPacket(query, { id: 7, edns: true })
    const property = fc.property(
      fc.uint8Array({ maxLength: 700 }),
      fc.boolean(),
      fc.boolean(),
      (tail, whole, mine) => {
        const start = mine ? sent.bytes.subarray(0, whole ? 12 + sent.question.length : 12) : Buffer.alloc(0)
        const bytes = Buffer.concat([start, tail])
        if (mine) bytes[2] = 0x80 | (bytes[2] ?? 0)
        check(readDnsAnswer(bytes, sent, query), 'A')
      },
    )
    fc.assert(property, { numRuns })
  })

  it('over real sockets, never throws, and comes to an outcome', async () => {
    let told: Buffer[] = []
    const server = await startRawServer(({ query: asked, send }) => {
      for (const bytes of told) {
        if (bytes.length > 1) bytes.writeUInt16BE(asked.id, 0)
        send(bytes)
      }
    })
    setting.after(() => server.stop())
    const resolver = setting.resolver(
      null,
      { timeoutMs: 5, attempts: 1, failedMs: 0, leastKeptMs: 0, mostFoundMs: 0, mostNoneMs: 0 },
      { servers: [{ address: server.address, port: server.port }] },
    )
    const bytes = fc.array(fc.oneof(answers, fc.uint8Array({ maxLength: 80 })), {
      minLength: 1,
      maxLength: 3,
    })
    const property = fc.asyncProperty(bytes, async (list) => {
      told = list.map((one) =>
        one instanceof Uint8Array ? Buffer.from(one) : bytesOf(one, { id: 0, type: 'SRV' }),
      )
      const outcome = await resolver.lookupSrv('n.example')
      expect(['found', 'none', 'failed']).to.include(outcome.kind)
    })
    await fc.assert(property, { numRuns: Math.ceil(numRuns / 20) })
    expect(resolver.counts()).to.deep.include({ underWay: 0, waiting: 0 })
  })

  it('as files and settings, are read without an error', () => {
    const line = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.stringMatching(/^(nameserver|options|search|127\.0\.0\.1|::1) [ a-z0-9.:%[\]-]{0,30}$/),
    )
    const property = fc.property(fc.array(line, { maxLength: 20 }), (lines) => {
      const text = lines.join('\n')
      const conf = parseResolvConf(text)
      expect(conf.servers.length).to.be.within(1, 8)
      for (const { address } of conf.servers) expect(isIP(address)).to.be.above(0)
      parseHostsFile(text)('n.example')
      const server = parseDnsServerAddress(lines[0] ?? '')
      if (server !== null) expect(isIP(server.address)).to.be.above(0)
    })
    fc.assert(property, { numRuns })
  })
})
