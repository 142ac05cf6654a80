import { expect } from 'chai'
import type { ServiceRecord } from '../../src/discovery/lookups.ts'
import { MOST_SERVICES, bestServices, orderServices } from '../../src/discovery/srv.ts'

const record = (target: string, weight = 0, priority = 10, port = 8448): ServiceRecord => ({
  ...{ target, weight, priority, port },
})

/** A small generator with a seed, so that a run can be repeated. */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

function order(records: ServiceRecord[], random: () => number): string[] {
  const ordered = orderServices(records, random)
  if (ordered.kind !== 'offered') throw new Error(ordered.kind)
  return ordered.services.map(({ host }) => host.name)
}

/** How often each name is the first of 4,000. */
function firsts(records: ServiceRecord[]): Record<string, number> {
  const random = dice(7)
  const counts: Record<string, number> = {}
  for (let i = 0; i < 4000; i++) {
    const name = order(records, random)[0] ?? ''
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

describe('the SRV records that are remembered', () => {
  it('are few, and the best ones', () => {
    const many = Array.from({ length: 3000 }, (_, i) => record(`h${i}`, 0, 3000 - i))
    const found = { kind: 'found', records: many, ttlMs: 1000 } as const
    const kept = bestServices(found)
    expect(kept.kind === 'found' && kept.records.map(({ target }) => target)).to.deep.equal(
      many
        .slice(-32)
        .toReversed()
        .map(({ target }) => target),
    )
    const none = { kind: 'none', ttlMs: 1000 } as const
    expect(bestServices(none)).to.equal(none)
  })
})

describe('the order of SRV records (RFC 2782)', () => {
  it('is by priority, whatever the weights', () => {
    const records = [record('c', 60_000, 30), record('a', 0, 10), record('b', 1, 20)]
    for (const random of [() => 0, () => 0.5, () => 0.999_999]) {
      expect(order(records, random)).to.deep.equal(['a', 'b', 'c'])
    }
  })

  it('puts each of one priority first as often as its weight says', () => {
    const { a = 0, b = 0, c = 0 } = firsts([record('a', 600), record('b', 300), record('c', 100)])
    expect(a / 4000).to.be.closeTo(0.6, 0.03)
    expect(b / 4000).to.be.closeTo(0.3, 0.03)
    expect(c / 4000).to.be.closeTo(0.1, 0.03)
  })

  it('orders what is left by weight too', () => {
    const random = dice(3)
    let second = 0
    const records = [record('a', 50_000), record('b', 900), record('c', 100)]
    for (let i = 0; i < 4000; i++) if (order(records, random)[1] === 'b') second++
    expect(second / 4000).to.be.closeTo(0.9, 0.03)
  })

  it('hardly ever puts one of weight 0 before others, and yet sometimes', () => {
    const { a = 0 } = firsts([record('a', 0), record('b', 99)])
    expect(a).to.be.within(1, 100)
    expect(order([record('b', 99), record('a', 0)], () => 0)).to.deep.equal(['a', 'b'])
    // 0 or 1 is drawn: each is as likely as the other.
    expect((firsts([record('a', 0), record('b', 1)])['a'] ?? 0) / 4000).to.be.closeTo(0.5, 0.03)
  })

  it('shuffles those that all have weight 0', () => {
    const counts = firsts([record('a'), record('b'), record('c'), record('d')])
    for (const name of ['a', 'b', 'c', 'd']) expect((counts[name] ?? 0) / 4000).to.be.closeTo(0.25, 0.03)
  })

  it('loses none and doubles none', () => {
    const records = [
      record('a', 5),
      record('b', 0),
      record('c', 5),
      record('d', 0, 20),
      record('e', 65_535, 20),
    ]
    for (const random of [() => 0, () => 0.3, () => 0.999_999_999]) {
      expect(order(records, random).toSorted()).to.deep.equal(['a', 'b', 'c', 'd', 'e'])
    }
  })

  it('leaves out what cannot be connected to', () => {
    const odd = [
      '',
      'x y',
      'a..b',
      '-'.repeat(64),
      'x.'.repeat(130),
      '127.1',
      '0x7f000001',
      'fe80::1%lo',
      '[x]',
    ]
    const records = [
      ...odd.map((target) => record(target)),
      record('a', 0, 10, 0),
      record('b', 0, 10, 65_536),
    ]
    expect(orderServices(records, () => 0)).to.deep.equal({ kind: 'refused' })
    expect(orderServices(records.slice(1), () => 0)).to.deep.equal({ kind: 'unusable' })
    expect(order([...records, record('good.example')], () => 0)).to.deep.equal(['good.example'])
  })

  it('says that there is no such service only where no other target is there', () => {
    expect(orderServices([record('.')], () => 0)).to.deep.equal({ kind: 'refused' })
    expect(order([record('.', 0, 0), record('a')], () => 0)).to.deep.equal(['a'])
  })

  it('keeps as many as are worth trying, the best ones, however many there are', () => {
    const many = Array.from({ length: 10_000 }, (_, i) => record(`h${i}`, 0, i))
    expect(order(many, () => 0)).to.deep.equal(many.slice(0, MOST_SERVICES).map(({ target }) => target))
    expect(
      order(
        many.map((one) => ({ ...one, priority: 1 })),
        dice(1),
      ),
    ).to.have.length(MOST_SERVICES)
    expect(
      order(
        many.map((one) => ({ ...one, priority: 1, weight: 65_535 })),
        dice(1),
      ),
    ).to.have.length(MOST_SERVICES)
  })
})
