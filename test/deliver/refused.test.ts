/** What an attempt came to, where that can't be written down: it is a failure with backoff, not a turn that breaks off. */
import { expect } from 'chai'
import { writeResultsApart } from '../../src/store/delivery/results.ts'
import type { AttemptResult } from '../../src/store/delivery/results.ts'
import { reachable } from '../support/reachable.ts'
import type { SendResult } from '../../src/wire/send-result.ts'
import { event, makeIngestWorld, servers } from '../ingest/ingest-world.ts'
import { UNANSWERED, holdInTest } from './step-stage.ts'

const D = 'd.example:8448'
const NUL: SendResult = { ...UNANSWERED, message: 'a\u0000b' } as SendResult

describe('what an attempt came to and can not be written down', () => {
  let world: Awaited<ReturnType<typeof makeIngestWorld>>
  beforeEach(async () => {
    world = await makeIngestWorld()
    await world.take([servers({ add: [D] }), event()])
  })
  afterEach(() => world.close())

  const failing = () =>
    world.rows(
      `select failures, retry_at is not null as waits, last_error->>'kind' as kind, last_error->>'message' as message
         from destinations where name = '${D}'`,
    )
  const attempts = () => world.rows('select outcome, status from attempts')

  it('is a failure with backoff, and the same bytes go again', async () => {
    const d = await holdInTest(
      world.pool,
      D,
      reachable(() => Promise.resolve(NUL)),
    )
    await d.step()
    expect(await failing()).to.deep.equal([
      {
        ...{ failures: 1, waits: true, kind: 'internal' },
        message: "internal error (see limpet's log)",
      },
    ])
    expect(await attempts()).to.deep.equal([{ outcome: 'failed', status: null }])
    expect(await world.rows('select attempt from open_transactions')).to.have.length(1)
    expect((await d.step()).kind).to.equal('let go')
  })

  it('an answer that can not is one too: an error of a PDU with what PostgreSQL refuses', async () => {
    const send = ({ eventIds }: { eventIds: readonly string[] }): Promise<SendResult> => {
      const pdus = new Map(eventIds.map((id) => [id, { error: 'half a character: \ud800' }]))
      return Promise.resolve({ kind: 'answered', pdus, durationMs: 1 })
    }
    const d = await holdInTest(world.pool, D, reachable(send))
    await d.step()
    expect((await failing())[0]).to.include({ failures: 1, waits: true, kind: 'internal' })
  })

  it('so is sending that throws', async () => {
    const send = () => Promise.reject(new RangeError('Maximum call stack size exceeded'))
    const d = await holdInTest(world.pool, D, reachable(send))
    await d.step()
    expect((await failing())[0]).to.include({ failures: 1, waits: true, kind: 'internal' })
    expect(await world.rows('select attempt from open_transactions')).to.have.length(1)
  })

  it('takes nobody with it that is written in the same statement', async () => {
    const refused = (message: string | null) =>
      ({
        ...{ held: { destination: 0, worker: '00000000-0000-4000-8000-000000000009', fence: 1 }, txnId: 't' },
        ...{ startedAt: 1, durationMs: 1, outcome: 'failed', status: null, message, errorKind: 'tls' },
        acknowledges: { positions: [], lanes: '', eventIds: [], fromPos: 0, toPos: 0, sticky: [] },
        ...{ answered: false, discard: false, waiting: {}, timeoutMs: null, quick: true, lists: false },
        ...{ pduErrors: null, unlisted: [] },
      }) as unknown as AttemptResult
    const results = [refused('fine'), refused('a\u0000b'), refused(null)]
    const [first, second, third] = await writeResultsApart(world.pool, results)
    // Nobody holds that destination, so nothing is written; but both were asked.
    expect([first, third]).to.deep.equal([false, false])
    expect(second).to.be.instanceOf(Error)
  })
})
