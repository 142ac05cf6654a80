/**
 * Whatever text comes from outside, discovery ends with a typed outcome, and what is sent of it can be sent.
 *
 * `LIMPET_FUZZ_RUNS` says how many inputs each (`npm run fuzz`: 100,000), `LIMPET_FUZZ_SEED` repeats a run.
 */
import { expect } from 'chai'
import fc from 'fast-check'
import { isIP } from 'node:net'
import type { ConnectTo } from '../../src/discovery/connect-to.ts'
import { LONGEST_ERROR_MS, SHORTEST_LIFE_MS } from '../../src/discovery/lifetime.ts'
import { LONGEST_LIFE_MS } from '../../src/pace/shared-answers.ts'
import type { LookedUp, ServiceRecord } from '../../src/discovery/lookups.ts'
import type { Remembered } from '../../src/discovery/memory.ts'
import { readWellKnown } from '../../src/discovery/read-well-known.ts'
import type { WellKnown } from '../../src/discovery/read-well-known.ts'
import { MOST_REDIRECTS, firstHop, nextHop } from '../../src/discovery/redirect.ts'
import { makeResolve } from '../../src/discovery/resolve.ts'
import type { Route } from '../../src/discovery/resolve.ts'
import { MOST_SERVICES, bestServices, orderServices } from '../../src/discovery/srv.ts'
import {
  decodeServices,
  decodeWellKnown,
  encodeServices,
  encodeWellKnown,
} from '../../src/discovery/stored-text.ts'
import { makeAskWellKnown } from '../../src/discovery/well-known.ts'
import { parseServerName, splitServerName } from '../../src/matrix/ids.ts'
import { systemClock } from '../../src/pace/clock.ts'
import { handClock } from './hand-clock.ts'
import { FUZZ_RUNS } from '../support/fuzz-runs.ts'
import { body, cacheHeaders, fuzzing, location, nameText, services } from './odd-input.ts'

const HOST_TEXT = /^(?:[0-9A-Za-z_-]{1,63}(?:\.[0-9A-Za-z_-]{1,63})*|[0-9A-Fa-f:.]+)$/
const ONE_PRINTABLE_LINE = /^[^\p{C}\p{Zl}\p{Zp}]*$/u
const NOW = Date.parse('2026-11-29T08:00:00Z')

/** What goes into TLS, into a header, and to whoever connects. */
function checkRoute({ places, hostHeader, sni, tlsName }: Route): void {
  expect(places.length).to.be.within(1, MOST_SERVICES)
  for (const { host, port } of places) {
    expect(port).to.satisfy((value: number) => Number.isInteger(value) && value > 0 && value < 65_536)
    expect(host.name).to.match(HOST_TEXT)
    expect(isIP(host.name) !== 0).to.equal(host.literal)
  }
  const named = parseServerName(hostHeader)
  expect(named, hostHeader).to.not.equal(null)
  const { host, literal } = splitServerName(named!)
  expect(tlsName).to.equal(host)
  expect(sni).to.equal(literal === null ? host : null)
}

const told = <A>(answer: A): Promise<Remembered<A>> =>
  Promise.resolve({ answer, state: 'asked', ageMs: 0, leftMs: 1, againMs: 1, failures: 0 })

describe('fuzzing of discovery', function () {
  this.timeout(30 * 60_000)

  it('.well-known bodies and headers: a name, none, or why not, and a life within its bounds', () => {
    const status = fc.oneof({ weight: 5, arbitrary: fc.constant(200) }, fc.integer({ min: 100, max: 999 }))
    let delegated = 0
    fc.assert(
      fc.property(status, cacheHeaders, body, (code, headers, bytes) => {
        const answer = readWellKnown({ status: code, headers, body: bytes }, NOW)
        if (answer.kind === 'failed') {
          expect(answer.why).to.match(ONE_PRINTABLE_LINE).and.have.lengthOf.below(200)
        } else if (answer.kind === 'absent') {
          expect(answer.lifeMs).to.be.within(SHORTEST_LIFE_MS, LONGEST_ERROR_MS)
        } else {
          delegated++
          expect(code).to.equal(200)
          expect(parseServerName(answer.to)).to.equal(answer.to)
          expect(answer.lifeMs).to.be.within(SHORTEST_LIFE_MS, LONGEST_LIFE_MS)
        }
        expect(decodeWellKnown(encodeWellKnown(answer))).to.deep.equal(answer)
      }),
      fuzzing(),
    )
    expect(delegated, 'good ones among them').to.be.above(FUZZ_RUNS / 50)
  })

  it('.well-known of any server name: no name makes the question itself fail', async () => {
    const refuses: ConnectTo = () => Promise.resolve({ kind: 'failed', stage: 'connect', message: 'refused' })
    const about = { connectTo: refuses, httpsPort: 443, userAgent: 'limpet/0.0.0', clock: systemClock }
    const ask = makeAskWellKnown(about)
    const { signal } = new AbortController()
    await fc.assert(
      fc.asyncProperty(nameText, async (text) => {
        const name = parseServerName(text)
        if (name === null || splitServerName(name).literal !== null) return
        expect(await ask(splitServerName(name).host.toLowerCase(), signal)).to.include({ kind: 'failed' })
      }),
      fuzzing(),
    )
  })

  it('SRV answers: places that can be connected to, or none', () => {
    let offered = 0
    fc.assert(
      fc.property(
        services,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (answer, random) => {
          const best = bestServices(answer)
          if (best.kind !== 'found') return
          const ordered = orderServices(best.records, () => random)
          if (ordered.kind !== 'offered') return
          offered++
          checkRoute({ ...{ step: '4', places: ordered.services, hostHeader: 'a', sni: 'a', tlsName: 'a' } })
          expect(new Set(ordered.services).size).to.equal(ordered.services.length)
        },
      ),
      fuzzing(),
    )
    expect(offered, 'good ones among them').to.be.above(FUZZ_RUNS / 10)
  })

  it('server names and what they are delegated to: Host, SNI and certificate name are composed of a checked name', async () => {
    let found = 0
    const clock = handClock()
    await fc.assert(
      fc.asyncProperty(nameText, nameText, services, services, async (text, delegate, fed, old) => {
        const name = parseServerName(text)
        if (name === null) return
        const to = parseServerName(delegate)
        const wellKnown: WellKnown =
          to === null ? { kind: 'failed', arrived: true, why: 'x' } : { kind: 'delegated', to, lifeMs: 1 }
        const resolve = makeResolve({
          wellKnown: () => told(wellKnown),
          services: (service) =>
            told<LookedUp<ServiceRecord>>(service.startsWith('_matrix-fed.') ? fed : old),
          ...{ matrixPort: 8448, clock, random: () => 0.5 },
        })
        const routed = await resolve(name)
        for (const { outcome } of routed.steps) expect(outcome).to.match(ONE_PRINTABLE_LINE)
        if (routed.kind === 'failed') expect(routed.message).to.match(ONE_PRINTABLE_LINE)
        else {
          found++
          checkRoute(routed.route)
          const { hostHeader, step } = routed.route
          expect(hostHeader).to.equal(step.startsWith('3') ? delegate : text)
        }
      }),
      fuzzing(),
    )
    expect(found, 'good ones among them').to.be.above(FUZZ_RUNS / 10)
  })

  it('redirects: a hop over https to a host, or why not; and never more than there may be', () => {
    let hops = 0
    fc.assert(
      fc.property(fc.array(location, { minLength: 1, maxLength: MOST_REDIRECTS + 3 }), (locations) => {
        const path = [firstHop('a.example')]
        for (const text of locations) {
          const latin1 = Buffer.from(text).toString('latin1')
          const next = nextHop(latin1, path)
          if (next.kind === 'refused') {
            expect(next.why).to.match(ONE_PRINTABLE_LINE).and.have.lengthOf.below(250)
            continue
          }
          hops++
          path.push(next.hop)
          const url = new URL(next.hop.url)
          expect(url.protocol).to.equal('https:')
          expect(url.username + url.password + url.hash).to.equal('')
          expect(next.hop.host.name).to.match(HOST_TEXT)
          // Whatever the URL's parser made of it, the same host is connected to.
          const { name } = next.hop.host
          const written = name.includes(':') ? `[${name}]` : name
          expect(url.hostname).to.be.oneOf([written, `${written}.`])
          expect(isIP(next.hop.host.name) !== 0).to.equal(next.hop.host.literal)
        }
        expect(path.length).to.be.at.most(MOST_REDIRECTS + 1)
        expect(new Set(path.map(({ url }) => url)).size).to.equal(path.length)
      }),
      fuzzing(),
    )
    expect(hops, 'good ones among them').to.be.above(FUZZ_RUNS / 10)
  })

  it('rows of the shared table: an answer, or nothing', () => {
    const text = fc.oneof(
      fc.json(),
      fc.string(),
      services.map((answer) => encodeServices(bestServices(answer))),
      fc
        .record(
          {
            kind: fc.constantFrom('delegated', 'absent', 'failed', 'found', 'none', 1),
            to: nameText,
            lifeMs: fc.anything(),
            ttlMs: fc.anything(),
            status: fc.anything(),
            records: fc.anything(),
            why: fc.anything(),
            arrived: fc.anything(),
          },
          { requiredKeys: ['kind'] },
        )
        .map((value) => JSON.stringify(value)),
    )
    fc.assert(
      fc.property(text, (row) => {
        const wellKnown = decodeWellKnown(row)
        if (wellKnown?.kind === 'delegated') expect(parseServerName(wellKnown.to)).to.equal(wellKnown.to)
        const answer = decodeServices(row)
        if (answer?.kind === 'found') orderServices(answer.records, () => 0.5)
      }),
      fuzzing(),
    )
  })
})
