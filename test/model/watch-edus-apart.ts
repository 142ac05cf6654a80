/**
 * Watches EDUs that a destination refuses (contract 5.9): which are taken out of their lanes, and what becomes of these. Told by `watch-edus.ts`.
 */
import type { FrozenEdus, FrozenView, View } from './driver.ts'
import type { PastEdu, PastEdus } from './past-edus.ts'
import type { Fail } from './watch-edus.ts'

/** The longest wait of what is set aside, ms. */
const DAY = 86_400_000
/** So often a gateway must have refused it alone. */
const OF_A_GATEWAY = 3
/** Without an answer to anything else no more of them go out of the way. */
const MOST_DOUBTFUL = 2

const ASIDE = 'only what was refused alone is set aside (5.9)'

/** What it holds is out of its lane: no cursor moves for it. */
export const isApart = ({ positions, durableTo }: FrozenEdus): boolean =>
  positions.length > 0 && durableTo === null

export function makeApartWatch(edus: PastEdus, fail: Fail) {
  /** Something that was not empty was answered 200 since the search began. */
  let otherCame = false
  /** What was refused alone last, while no empty one was answered 200 after it. */
  let alone: { pos: number; by: 'gateway' | 'others' } | null = null

  function checkSure(edu: PastEdu): void {
    const { gateway, others } = edu.refused
    const said = `${gateway} refusals by a gateway, ${others} by others`
    if (others === 0 && gateway < OF_A_GATEWAY) fail(ASIDE, `${edu.pos} after ${said}`)
    if (!otherCame) fail(ASIDE, `${edu.pos}, and nothing else was answered 200`)
  }

  return {
    frozen(
      { txnId, edus: its }: FrozenView,
      them: readonly PastEdu[],
      { now, latest, pdus }: { now: View; latest: number; pdus: number },
    ): void {
      const say = (promise: string, what: string) =>
        fail(promise, `${txnId} with EDUs ${its.positions.join(', ')}: ${what}`)
      if (now.edusSearched && pdus > 0 && them.length > 0)
        say('EDUs that are searched go apart from PDUs (5.9)', `${pdus} PDUs go with them`)
      if (!isApart(its)) return
      const [edu, ...more] = them
      if (more.length > 0 || pdus > 0) say('what is set aside is tried alone (5.9)', 'it is not alone')
      const row = now.edusApart.find(({ pos }) => pos === edu?.pos)
      if (row === undefined) say('what is set aside is tried alone (5.9)', 'it is not apart')
      else if (row.nextAt > latest && row.nextAt <= now.now + DAY)
        say('what is set aside is tried in its time (5.9)', `it is due in ${row.nextAt - latest} ms`)
    },
    /** Of EDUs, of which there may be none. */
    answered(them: readonly PastEdu[]): void {
      otherCame = true
      alone = null
      for (const edu of them) edu.apart = null
    },
    refused([edu, ...more]: readonly PastEdu[], by: 'gateway' | 'others', pdus: number): void {
      alone = edu !== undefined && more.length === 0 && pdus === 0 ? { pos: edu.pos, by } : null
    },
    /** An empty transaction was answered 200. */
    cleared(): void {
      const edu = alone && edus.at(alone.pos)
      if (alone !== null && edu != null)
        edu.refused = { ...edu.refused, [alone.by]: edu.refused[alone.by] + 1 }
      alone = null
    },
    tookOut(them: readonly PastEdu[], { pos, sure }: { pos: number | null; sure: boolean }): void {
      const [edu, ...more] = them
      if (edu === undefined || more.length > 0) return fail(ASIDE, `of ${them.length} EDUs`)
      if (edu.durable !== (pos !== null)) fail('what is durable is set aside (5.9)', `${edu.pos} is not`)
      const { gateway, others } = edu.refused
      if (gateway + others === 0) fail(ASIDE, `${edu.pos}, which was never refused alone`)
      if (sure) checkSure(edu)
      if (pos === null) edu.leftOut = true
      else edu.apart = sure ? 'sure' : 'doubtful'
    },
    /** An operator gave up what was set aside. */
    dropped(view: View): void {
      for (const edu of edus.all())
        if (edu.apart === 'sure' && !view.edusApart.some(({ pos }) => pos === edu.pos)) {
          edu.givenUp = edu.dropped = true
          edu.apart = null
        }
    },
    moved({ edusApart, edusSearched, now }: View, latest: number): void {
      for (const { pos, sure } of edusApart) {
        const edu = edus.at(pos)
        if (edu == null || edu.apart === null)
          return fail(ASIDE, `${pos} ${edu?.told === true ? 'was taken' : 'never was refused alone'}`)
        if (sure && edu.apart === 'doubtful') checkSure(edu)
        edu.apart = sure ? 'sure' : 'doubtful'
      }
      if (edusApart.filter(({ sure }) => !sure).length > MOST_DOUBTFUL)
        fail(ASIDE, `${edusApart.length} are out of the way, and nothing else came`)
      for (const edu of edus.all()) {
        if (edu.apart === null || edusApart.some(({ pos }) => pos === edu.pos)) continue
        const isOver = edu.expiresAt <= Math.max(latest, now)
        if (!edu.givenUp && edu.forgottenAt === null && !isOver)
          fail('what is set aside is kept (5.9)', `${edu.pos} is apart no more`)
        edu.apart = null
        edu.leftOut = true
      }
      if (!edusSearched) otherCame = false
    },
    save: () => {
      const saved = { otherCame, alone }
      return () => {
        ;({ otherCame, alone } = saved)
      }
    },
  }
}
