/** `store/delivery/own-trouble.ts`: what failed by a process' own fault. */
import type { PutBack } from '../../../../src/store/delivery/own-trouble.ts'
import { least, lives } from '../rules.ts'
import { twin, type Twins } from '../statement.ts'

export const OWN_TROUBLE = {
  'put back what failed for us': twin<[string, number]>(({ t, now }, json) => {
    const them = (JSON.parse(json) as PutBack[]).sort((a, b) => a.destination - b.destination)
    return them.flatMap(({ destination: id, before, after }) => {
      t.destinations.lock(id)
      const d = t.destinations.get(id)
      const asLeft =
        d?.failures === after.failures && d.tried_at === after.triedAt && d.retry_at === after.retryAt
      if (d === undefined || !asLeft) return []
      t.destinations.change(id, {
        ...{ failures: before.failures, failing_since: before.failingSince, retry_at: before.retryAt },
        ...{ retry_interval: before.retryInterval, advice_at: least(d.advice_at, before.adviceAt) },
        ...{ advice_up: d.advice_up || before.adviceUp, advice_after: before.adviceAfter },
        ...{ advice_step: before.adviceStep, asked_at: least(d.asked_at, before.askedAt) },
        ...{ tried_at: before.triedAt, timeout_ms: before.timeoutMs, quick: before.quick },
        deadline_tries: before.deadlineTries.length === 0 ? null : [...before.deadlineTries],
        ...{ look_at: now, wake_seq: d.wake_seq + 1 },
      })
      return [{ id }]
    })
  }),
  'leave own trouble out': twin<[number]>(({ t, now }, began) => {
    t.cursors.lock('own_trouble')
    const since = Math.max(began, t.cursors.get('own_trouble')?.pos ?? 0)
    if (since >= now) return 0
    t.cursors.change('own_trouble', { pos: now })
    let count = 0
    for (const { id, failing_since } of t.destinations.all().sort((a, b) => a.id - b.id)) {
      if (failing_since === null || failing_since >= now) continue
      t.destinations.lock(id)
      t.destinations.change(id, { failing_since: now - Math.max(0, since - failing_since) })
      count += 1
    }
    return count
  }),
  'does another process get answers': twin<[string | null, number, number]>(
    ({ t, now }, worker, began, within) => [
      {
        answered: t.workers
          .all()
          .some(
            ({ id, lease_until, answered_at }) =>
              id !== worker &&
              lease_until > now &&
              answered_at !== null &&
              answered_at > began &&
              answered_at > now - within,
          ),
      },
    ],
  ),
  'who else answered of late': twin<[number[], string | null, number, number]>(
    ({ t, now }, tried, worker, known, window) =>
      t.destinations
        .all()
        .filter((d) => d.last_success !== null && d.last_success > now - known)
        .filter((d) => (d.last_success ?? 0) <= now - window && !tried.includes(d.id))
        .filter((d) => !d.paused && d.failing_since === null)
        .filter((d) => d.lease_owner === worker || !lives(t, d.lease_owner, now))
        .sort((a, b) => a.id - b.id)
        .map(({ name }) => ({ name })),
  ),
} satisfies Twins
