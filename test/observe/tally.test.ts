import { expect } from 'chai'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { tallyCounter, tallyGauge, tallyHistogram } from '../../src/observe/tally.ts'

const name = 'limpet_one'
const help = 'What \\ it\nis.'

describe('what is counted often', () => {
  it('reads as a counter of prom-client does, labels with a 0 too', async () => {
    const [theirs, own] = [new Registry(), new Registry()]
    const counter = new Counter({ name, help, labelNames: ['why'], registers: [theirs] })
    const values = ['b', 'a', 'constructor', 'c'] as const
    for (const why of values) counter.inc({ why }, 0)
    const tally = tallyCounter(own, { name, help, label: 'why', values })
    const same = async () => expect(await own.metrics()).to.equal(await theirs.metrics())
    await same()
    for (const [why, by] of [
      ['a', 1],
      ['constructor', 5],
      ['a', undefined],
      ['b', 0.5],
    ] as const) {
      counter.inc({ why }, by)
      tally.inc({ why }, by)
    }
    await same()
    // Reading it changes nothing.
    await same()
    expect(await own.getMetricsAsJSON()).to.deep.equal(await theirs.getMetricsAsJSON())
  })

  it('reads as a gauge does', async () => {
    const [theirs, own] = [new Registry(), new Registry()]
    const gauge = new Gauge({ name, help, registers: [theirs] })
    const tally = tallyGauge(own, { name, help })
    expect(await own.metrics()).to.equal(await theirs.metrics())
    for (const one of [gauge, tally]) {
      one.inc()
      one.inc()
      one.dec()
    }
    expect(await own.metrics()).to.equal(await theirs.metrics())
    expect(await own.metrics()).to.match(/^limpet_one 1$/m)
  })

  it('reads as a histogram does, at its bounds and beyond them', async () => {
    const [theirs, own] = [new Registry(), new Registry()]
    const buckets = [0.05, 0.1, 1, 60]
    const histogram = new Histogram({ name, help, buckets, registers: [theirs] })
    const tally = tallyHistogram(own, { name, help, buckets })
    expect(await own.metrics()).to.equal(await theirs.metrics())
    for (const value of [0, 0.05, 0.050001, 0.1, 0.7, 1, 59.9, 60, 61, 86_400]) {
      histogram.observe(value)
      tally.observe(value)
    }
    expect(await own.metrics()).to.equal(await theirs.metrics())
    expect(await own.metrics()).to.match(/^limpet_one_bucket\{le="0\.05"\} 2$/m)
  })
})
