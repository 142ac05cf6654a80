import { expect } from 'chai'
import { countAttempt } from '../../src/observe/count-attempt.ts'
import { makeMetrics } from '../../src/observe/metrics.ts'

describe('what is counted of an attempt', () => {
  const attempt = { pdus: [], outcome: 'answered', answered: true, durationMs: 5, finishedAt: 1 } as const
  const eduTypes = new Map([
    ['m.typing', 2],
    ['m.direct_to_device', 1],
    ['org.example.one', 3],
    ['org.example.two', 4],
    ['constructor', 5],
  ])

  async function sent(metrics: ReturnType<typeof makeMetrics>): Promise<Record<string, number>> {
    const text = await metrics.registry.metrics()
    const lines = text.matchAll(/^limpet_edus_sent_total\{type="([^"]+)"\} (\d+)$/gm)
    return Object.fromEntries([...lines].map(([, type = '', count]) => [type, Number(count)]))
  }

  it('is EDUs by their type, those that are not in the specification together', async () => {
    const metrics = makeMetrics({ runtime: false })
    const NONE = {
      ...{ 'm.typing': 0, 'm.receipt': 0, 'm.presence': 0, 'm.direct_to_device': 0 },
      ...{ 'm.device_list_update': 0, 'm.signing_key_update': 0, other: 0 },
    }
    expect(await sent(metrics)).to.deep.equal(NONE)
    countAttempt(metrics, { ...attempt, eduTypes })
    countAttempt(metrics, attempt)
    expect(await sent(metrics)).to.deep.equal({
      ...NONE,
      ...{ 'm.typing': 2, 'm.direct_to_device': 1, other: 12 },
    })
  })

  it('is no EDU where no answer came', async () => {
    const metrics = makeMetrics({ runtime: false })
    countAttempt(metrics, { ...attempt, eduTypes, outcome: 'failed', answered: false })
    expect(Object.values(await sent(metrics)).every((count) => count === 0)).to.equal(true)
  })
})
