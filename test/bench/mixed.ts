/**
 * Steady traffic to warm destinations of which four fifths are receipts and typing, beside the same events alone. Both in one daemon, in turn, so that
 * what is compared had the same machine and the same program. Beside each event go two receipts and two typing notifications of its room, of users that
 * have none waiting: none is replaced, which is the most work.
 */
import { receiptItem, typingItem, userOf } from './edu-items.ts'
import type { Fleet } from './fleet.ts'
import type { Setting } from './setting.ts'
import { until } from '../support/poll.ts'
import { ASIDE, dearestStatements, resetStatements } from './statements.ts'
import { WARM_UP_MS, withWarm, type SteadyOptions, type Warm } from './steady.ts'
import { quiet, saturate } from './traffic.ts'
import { flowing, inWindow, type Window } from './window.ts'

export interface Mixed {
  /** One after the other, in this order or the other way round. */
  pairs: { alone: Window; mixed: Window }[]
}

export interface MixedOptions extends SteadyOptions {
  pairs: number
}

/** Of both kinds, beside one event. */
const EDUS_AN_EVENT = 4
/** A room comes to the same ones again after some ninety requests. */
const USERS = 389

export function measureMixed(
  setting: Setting,
  fleet: Fleet,
  { pairs, windowMs, statements, ...options }: MixedOptions,
): Promise<Mixed> {
  return withWarm(setting, fleet, options, async (warm) => {
    const measured: Mixed['pairs'] = []
    const alone = (isLast: boolean) => inTraffic(warm, () => [], isLast)
    const mixed = (isLast: boolean) => inTraffic(warm, makeBeside(), isLast)
    while (measured.length < pairs) {
      const isLast = measured.length === pairs - 1
      if (measured.length % 2 === 0) measured.push({ alone: await alone(isLast), mixed: await mixed(isLast) })
      else {
        const first = await mixed(isLast)
        measured.push({ alone: await alone(isLast), mixed: first })
      }
    }
    return { pairs: measured }
  })

  async function inTraffic(
    { scene, watched }: Warm,
    beside: (room: string) => string[],
    isLast: boolean,
  ): Promise<Window> {
    const traffic = await flowing(fleet, WARM_UP_MS, () => saturate(scene, beside))
    await mostlyFollowed(scene)
    if (statements && isLast) await resetStatements(scene.pool)
    const window = await inWindow(watched, windowMs)
    if (isLast) statements?.(await dearestStatements(scene.pool))
    await traffic.stop()
    await quiet(scene.pool)
    return window
  }
}

/**
 * In steady traffic destinations are followed, but for the few that are just looked at again after a minute; before that each is looked at in its rows, which is not
 * what is measured here.
 */
const mostlyFollowed = ({ pool, names }: Warm['scene']): Promise<true> =>
  until(
    async () => {
      const { rows } = await pool.query<{ n: number }>(
        `select ${ASIDE} count(*)::int as n from destinations where follows`,
      )
      return (rows[0]?.n ?? 0) >= 0.95 * names.length
    },
    { what: 'destinations to be followed', withinMs: 120_000, everyMs: 250 },
  )

function makeBeside(): (room: string) => string[] {
  let n = 0
  return (room) =>
    Array.from({ length: EDUS_AN_EVENT }, (_, i) => {
      n += 1
      const user = userOf(n % USERS)
      return i % 2 === 0 ? receiptItem(room, user, n) : typingItem(room, user, n % 4 < 2)
    })
}
