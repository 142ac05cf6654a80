/** Who may answer, and with what: packets of others, guesses, other names, bytes of any kind. */
import { expect } from 'chai'
import packet from 'dns-packet'
import type { DnsLimits } from '../../../src/discovery/dns/resolver.ts'
import { answerTo, recordA, startRawServer } from './raw-server.ts'
import type { RawQuery } from './raw-server.ts'
import { brief, dnsSetting } from './setting.ts'

const GOOD = '192.0.2.1'
const EVIL = '203.0.113.66'

describe('the resolver, of answers that it must not believe', () => {
  const setting = dnsSetting()

  /** What `n.example` comes to (IPv4) where `answer` answers; for AAAA there is nothing. */
  async function start(answer: (query: RawQuery) => void, limits: Partial<DnsLimits> = {}) {
    const queries: RawQuery[] = []
    const server = await startRawServer((query) => {
      const [question] = query.query.questions
      if (question?.type === 'AAAA') query.send(answerTo(query.query))
      else {
        queries.push(query)
        answer(query)
      }
    })
    setting.after(() => server.stop())
    const resolver = setting.resolver(
      null,
      { timeoutMs: 250, attempts: 1, ...limits },
      {
        servers: [{ address: server.address, port: server.port }],
      },
    )
    return { resolver, queries, look: async () => brief(await resolver.lookupAddresses('n.example')) }
  }
  const good = (query: RawQuery): Buffer => answerTo(query.query, { answers: [recordA('n.example', GOOD)] })
  const evil = (query: RawQuery, told: Parameters<typeof answerTo>[1] = {}): Buffer =>
    answerTo(query.query, { answers: [recordA('n.example', EVIL)], ...told })

  it('takes none from another port, even with the right id and question', async () => {
    const { look } = await start((query) => {
      query.send(evil(query), 'other port')
      setTimeout(() => query.send(good(query)), 30)
    })
    expect(await look()).to.equal(GOOD)
  })

  it('takes none with another id, another question, or that is a query itself, and goes on listening', async () => {
    const { look } = await start((query) => {
      const { id, questions } = query.query
      query.send(evil({ ...query, query: { ...query.query, id: id ^ 1 } }))
      query.send(evil({ ...query, query: { ...query.query, questions: [{ name: 'm.example', type: 'A' }] } }))
      query.send(
        evil({ ...query, query: { ...query.query, questions: [{ name: 'n.example', type: 'TXT' }] } }),
      )
      query.send(evil({ ...query, query: { ...query.query, questions: [] } }))
      query.send(evil({ ...query, query: { ...query.query, questions: [...questions, ...questions] } }))
      query.send(packet.encode({ type: 'query', id, questions, answers: [recordA('n.example', EVIL)] }))
      query.send(Buffer.alloc(0))
      query.send(good(query).subarray(0, 11))
      query.send(good(query))
    })
    expect(await look()).to.equal(GOOD)
  })

  it('asks over TCP where somebody seems to guess the id', async () => {
    const { look, queries } = await start((query) => {
      const { id } = query.query
      for (const guess of query.over === 'tcp' ? [] : [1, 2, 3, 4]) {
        query.send(evil({ ...query, query: { ...query.query, id: id ^ guess } }))
      }
      query.send(query.over === 'tcp' ? good(query) : evil(query))
    })
    expect(await look()).to.equal(GOOD)
    expect(queries.map(({ over }) => over)).to.deep.equal(['udp', 'tcp'])
  })

  it('takes no record of another name, and remembers none', async () => {
    const { look, resolver, queries } = await start((query) => {
      const [question] = query.query.questions
      const name = question?.name ?? ''
      const others = [recordA('m.example', EVIL), recordA('example', EVIL), recordA(`x.${name}`, EVIL)]
      const answers = name === 'm.example' ? [recordA(name, '192.0.2.2')] : [...others, recordA(name, GOOD)]
      query.send(answerTo(query.query, { answers, additionals: others, authorities: others }))
    })
    expect(await look()).to.equal(GOOD)
    expect(brief(await resolver.lookupAddresses('m.example'))).to.equal('192.0.2.2')
    expect(queries).to.have.length(2)
  })

  it('finds nothing where there are records of other names only, or of another class or type', async () => {
    const { look } = await start((query) =>
      query.send(
        answerTo(query.query, {
          answers: [
            recordA('m.example', EVIL),
            { ...recordA('n.example', EVIL), class: 'CH' } as packet.Answer,
            { name: 'n.example', type: 'TXT', data: EVIL },
            { name: 'm.example', type: 'CNAME', data: 'n.example' },
          ],
        }),
      ),
    )
    expect(await look()).to.equal('NODATA')
  })

  it('takes the time for nothing from no SOA of another zone', async () => {
    const soa = (name: string): packet.Answer => ({
      ...{ name, type: 'SOA', ttl: 3_000, data: { mname: 'a', rname: 'b', minimum: 3_000 } },
    })
    for (const [zone, ttlMs] of [
      ['other.example', 30_000],
      ['x.n.example', 30_000],
      ['xample', 30_000],
      ['example', 3_000_000],
      ['N.example', 3_000_000],
    ] as const) {
      const { resolver } = await start((query) =>
        query.send(answerTo(query.query, { rcode: 3, authorities: [soa(zone)] })),
      )
      expect(await resolver.lookupSrv('n.example'), zone).to.deep.equal({
        ...{ kind: 'none', why: 'NXDOMAIN', ttlMs },
      })
    }
  })

  it('takes an answer in which the case of letters was changed', async () => {
    const { look } = await start((query) => {
      const questions = [{ name: 'N.eXample', type: 'A' as const }]
      query.send(answerTo({ ...query.query, questions }, { answers: [recordA('N.EXAMPLE', GOOD)] }))
    })
    expect(await look()).to.equal(GOOD)
  })

  it('takes an error without the question, and asks without EDNS where that is the error', async () => {
    const { look, queries } = await start((query) => {
      const plain = (query.query.additionals ?? []).length === 0
      query.send(plain ? good(query) : answerTo({ ...query.query, questions: [] }, { rcode: 1 }))
    })
    expect(await look()).to.equal(GOOD)
    expect(queries).to.have.length(2)
  })

  it('takes what is cut off or nonsense after the question for a failure, and does not wait for more', async () => {
    const cut = (bytes: Buffer) => bytes.subarray(0, bytes.length - 2)
    const liar = (bytes: Buffer) => {
      const copy = Buffer.from(bytes)
      copy.writeUInt16BE(0xffff, 6)
      return copy
    }
    for (const spoil of [cut, liar]) {
      const { look } = await start((query) => query.send(spoil(good(query))), { timeoutMs: 20_000 })
      expect(await look()).to.equal('MALFORMED')
    }
  })

  it('takes a truncated answer over TCP, and a connection that ends, for a failure', async () => {
    const flags = packet.TRUNCATED_RESPONSE
    const truncated = await start((query) => query.send(answerTo(query.query, { flags })))
    expect(await truncated.look()).to.equal('MALFORMED')
    const silent = await start((query) => {
      if (query.over === 'udp') query.send(answerTo(query.query, { flags }))
    })
    expect(await silent.look()).to.equal('TIMEOUT')
  })

  it('takes no longer over UDP and TCP together than it may over one', async () => {
    const { look } = await start(
      (query) => {
        const truncated = answerTo(query.query, { flags: packet.TRUNCATED_RESPONSE })
        if (query.over === 'udp') setTimeout(() => query.send(truncated), 1_200)
      },
      { timeoutMs: 1_500 },
    )
    const began = performance.now()
    expect(await look()).to.equal('TIMEOUT')
    // 2.7 s, if each had its own time.
    expect(performance.now() - began).to.be.within(1_450, 2_500)
  })

  it('is not led in circles by answers that always lead on', async () => {
    let n = 0
    const { look, queries } = await start((query) => {
      const name = query.query.questions[0]?.name ?? ''
      query.send(answerTo(query.query, { answers: [{ name, type: 'CNAME', data: `n${n++}.example` }] }))
    })
    expect(await look()).to.equal('MALFORMED')
    expect(queries).to.have.length(8)
  })

  it('takes a new port and a new id for each question', async () => {
    const { resolver, queries } = await start((query) =>
      query.send(answerTo(query.query, { answers: [recordA(query.query.questions[0]?.name ?? '', GOOD)] })),
    )
    for (let n = 0; n < 40; n++) await resolver.lookupAddresses(`n${n}.example`)
    const ports = queries.map(({ from }) => from)
    expect(new Set(ports).size).to.be.least(35)
    expect(new Set(queries.map(({ query }) => query.id)).size).to.be.least(38)
    const steps = ports.slice(1).map((port, index) => Math.abs(port - ports[index]!))
    expect(steps.filter((step) => step <= 2).length, 'ports next to the one before').to.be.below(10)
  })

  it('finds an answer that came in time, though this process was busy for longer than that', async () => {
    const { look } = await start(
      (query) => {
        query.send(good(query))
        const began = performance.now()
        while (performance.now() - began < 200);
      },
      { timeoutMs: 100 },
    )
    expect(await look()).to.equal(GOOD)
  })
})
