/** What delivery asks for is of the moment in which it is asked for, and a copy is not. */
import { expect } from 'chai'
import { loadConfig } from '../../src/config/config.ts'
import { asking, makeChangeable } from '../../src/daemon/changeable.ts'
import { deliverySettings } from '../../src/daemon/delivery-settings.ts'
import { dialsOf } from '../../src/daemon/open-places.ts'
import { previewNeedsOf } from '../../src/daemon/preview-needs.ts'
import { systemClock } from '../../src/pace/clock.ts'

const BEFORE = { LIMPET_SERVER_NAME: 'a.example' }
const AFTER = {
  ...BEFORE,
  LIMPET_FEDERATION__BACKOFF: '{first_ms: 1, multiplier: 3, max_ms: 4, jitter: 0.5}',
  LIMPET_FEDERATION__DEAD_AFTER_MS: '6',
  LIMPET_FEDERATION__LONG_OUTAGE_MS: '7',
  LIMPET_FEDERATION__REQUEST_TIMEOUT_MS: '8',
  LIMPET_FEDERATION__MAX_PDUS: '9',
  LIMPET_FEDERATION__MAX_EDUS: '14',
  LIMPET_FEDERATION__EDUS: '{presence: false, receipts: false}',
  LIMPET_RETENTION__DURABLE_EDUS_MS: '15',
  LIMPET_FEDERATION__MAX_BODY_BYTES: '80000',
  LIMPET_FEDERATION__MAX_CONCURRENCY: '10',
  LIMPET_FEDERATION__RECOVERING_CONCURRENCY: '4',
  LIMPET_STICKY__DEADLINE_RETRIES: 'false',
  LIMPET_STICKY__DEADLINE_RETRY_MIN_MS: '11',
  LIMPET_CATCH_UP: '{threshold_pdus: 12, min_age_ms: 13}',
}

describe('the settings of delivery', () => {
  const [before, after] = [BEFORE, AFTER].map((env) => loadConfig({ env, cwd: '/' }))
  if (before === undefined || after === undefined) throw new Error('two')

  it('are those of the moment in which they are asked for, also where they are kept', () => {
    const live = makeChangeable(before)
    const needs = asking(
      { origin: 'a.example' },
      deliverySettings(() => live.now()),
    )
    const copy = { ...needs }
    const { backoff, deadline, edus } = needs
    expect({ ...edus }).to.deep.equal({ maxEdus: 100, off: new Set(), durableMs: 30 * 86_400_000 })
    const preview = previewNeedsOf(() => live.now(), systemClock)
    expect(needs).to.include({ origin: 'a.example', maxPdus: 50, requestTimeoutMs: 60_000 })
    const heard: unknown[] = []
    live.onChange((now) => heard.push(now, needs.maxPdus))
    live.change(after)
    expect(heard).to.deep.equal([after, 9])
    expect({ ...backoff }).to.deep.equal({
      ...{ first_ms: 1, multiplier: 3, max_ms: 4, jitter: 0.5, dead_after_ms: 6 },
    })
    expect({ ...deadline }).to.deep.equal({
      ...{ deadline_retries: false, deadline_retry_min_ms: 11, long_outage_ms: 7 },
    })
    expect({ ...edus }).to.deep.equal({
      ...{ maxEdus: 14, off: new Set(['m.presence', 'm.receipt']), durableMs: 15 },
    })
    expect(needs).to.include({ maxPdus: 9, maxBodyBytes: 80_000, requestTimeoutMs: 8 })
    expect(needs.catchUp).to.deep.equal({ threshold_pdus: 12, min_age_ms: 13 })
    expect(preview).to.deep.include({
      ...{ maxPdus: 9, maxBodyBytes: 80_000, catchUp: { threshold_pdus: 12, min_age_ms: 13 } },
    })
    expect(copy.maxPdus, 'a copy').to.equal(50)
  })

  it('leave half of the places that are not for recovering destinations to dials', () => {
    expect([dialsOf(before), dialsOf(after)].map(({ all }) => all)).to.deep.equal([384, 7])
  })
})
