/** What limpet says beside what the servers saw: only what nobody can tell from a server may differ. */
import { expect } from 'chai'
import { compareNow } from '../../../src/cli/simulate/compare.ts'
import { planStory } from '../../../src/simulate/story/plan.ts'
import type { Heard, Told } from '../../../src/simulate/story/record.ts'
import { judgeRun } from '../../../src/simulate/verdict/verdict.ts'
import { END, LONG, SERVER, START, join, said, transaction } from '../../simulate/verdict/stage.ts'
import type { Sent } from '../../simulate/verdict/stage.ts'

const plan = {
  ...planStory({ servers: 6, rooms: 8, events: 200, seed: 5 }),
  implied: { replayed: 0, lapsed: 0 },
}
const at = (ms: number) => START + ms
/** Of a server that a slow machine lets fall behind. */
const slow = plan.cast.slow

/** What disagrees where the server at `index` was told and sent this, and limpet counts so many replays. */
async function disagreements(
  { told, sent, index = slow }: { told: readonly Told[]; sent: readonly Sent[]; index?: number },
  replayed: number,
): Promise<readonly string[]> {
  const transactions = sent.map(transaction)
  const nobody = { transactions: [], received: new Set<string>(), violations: [], mostOpenAtOnce: 1 }
  const servers: Heard[] = Array.from({ length: 6 }, (_, n) => ({ ...nobody, serverName: `${n}.example` }))
  const heard = servers.with(index, {
    ...{ ...nobody, serverName: SERVER, transactions: transactions.map(({ heard }) => heard) },
    received: new Set(transactions.flatMap(({ taken }) => taken)),
  })
  const rules = { thresholdPdus: 3, minAgeMs: 5000, endedAt: END, dead: new Set<string>(), quietJoins: [] }
  const verdict = judgeRun(told, heard, rules)
  expect(verdict.totals).to.include({ missing: 0, notEntitled: 0, faults: 0 })
  const get = (path: string) =>
    Promise.resolve(
      path === '/metrics'
        ? `limpet_pdus_sent_total{reason="sticky_replay"} ${replayed}\n`
        : path === '/v1/status'
          ? { pending_pdus: 0 }
          : { destinations: [] },
    )
  return (await compareNow({ get, plan, verdict })).disagreements
}

describe("limpet's count of replays beside what the servers saw", () => {
  // Told by a request that took 2 s: 5.5 s after its beginning the oldest is old enough, or it is not.
  const story = ['a', 'b', 's', 'c'].map((id) => ({
    ...said(id, id === 's' ? { stickyMs: LONG } : {}),
    takenAt: at(2000),
  }))
  const told = [join(), ...story]
  const inTurn: Sent[] = [{ ids: ['a', 'b', 's', 'c'], at: at(5500) }]

  it('may differ where an event came in its turn at a moment when the server may have been behind', async () => {
    for (const replayed of [0, 1])
      expect(await disagreements({ told, sent: inTurn }, replayed)).to.deep.equal([])
    expect(await disagreements({ told, sent: inTurn }, 2)).to.deep.equal([
      'sticky replays: limpet counts 2, but the servers saw 0 to 1',
    ])
  })

  it('may differ in each of several transactions, in every part', async () => {
    const halves: Sent[] = [
      { ids: ['a'], at: at(5500) },
      { ids: ['b', 's', 'c', 'd', 't'], at: at(8500) },
    ]
    const more = [said('d', { at: at(3000) }), said('t', { at: at(3000), stickyMs: LONG })]
    const { joiner, unknowing } = plan.cast
    for (const index of [slow, joiner, unknowing])
      for (const replayed of [0, 1, 2]) {
        const both = { told: [...told, ...more], sent: halves, index }
        expect(await disagreements(both, replayed), `${index}, ${replayed}`).to.deep.equal([])
      }
  })

  it('must not differ where it was surely sent ahead of what is older', async () => {
    const ahead: Sent[] = [
      { ids: ['s'], at: at(60_000) },
      { ids: ['a', 'b', 'c'], at: at(60_100) },
    ]
    expect(await disagreements({ told, sent: ahead }, 1)).to.deep.equal([])
    expect(await disagreements({ told, sent: ahead }, 0)).to.deep.equal([
      'sticky replays: limpet counts 0, but the servers saw 1',
    ])
  })

  it('must not differ in what follows of the same catch-up', async () => {
    const stickies = ['s1', 's2', 's3', 's4'].map((id) => said(id, { stickyMs: LONG }))
    const caughtUp: Sent[] = [
      { ids: ['s1', 's2'], at: at(60_000) },
      { ids: ['s3', 's4'], at: at(60_100) },
      { ids: ['q'], at: at(60_200) },
    ]
    const lane = { told: [join(), said('q'), ...stickies], sent: caughtUp }
    expect(await disagreements(lane, 4)).to.deep.equal([])
    expect(await disagreements(lane, 3)).to.deep.equal([
      'sticky replays: limpet counts 3, but the servers saw 4',
    ])
  })

  it('must not differ where nobody was behind', async () => {
    const prompt = { told, sent: [{ ids: ['a', 'b', 's', 'c'], at: at(2100) }] }
    expect(await disagreements(prompt, 0)).to.deep.equal([])
    expect(await disagreements(prompt, 1)).to.deep.equal([
      'sticky replays: limpet counts 1, but the servers saw 0',
    ])
  })
})
