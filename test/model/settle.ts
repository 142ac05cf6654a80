/**
 * What is owed arrives, whatever happened before: the remote is well again, and limpet does what it does by itself. The
 * queue may have lost everything: what it lost, sweeps find.
 */
import { GLOBS, SETTINGS } from './driver.ts'
import { isRefusedEdu, WELL, type Remote } from './remote.ts'
import { HOUR, SECOND } from './schedule.ts'
import type { World } from './world.ts'
import type { By } from './schedule.ts'
import { violated } from './watch.ts'

/** Of durable ones some, and nothing else, for their own sake. */
const refusesSomeEdus = (remote: Remote): boolean =>
  remote.does === 'refuses' &&
  (remote.edus ?? 0) > 1 &&
  remote.each === 0 &&
  remote.empty === 200 &&
  [400, 500].includes(remote.status)

const ROUNDS = 60
/** For EDUs; each takes more than one of what goes alone, and presence waits ten seconds. */
const LOOKS = 80
/** So many bad EDUs go out of the way where there is nothing else. */
const FEW_BAD = 2
/** Of which the first may be for what another has. */
const PROBES = 10

export async function settle(world: World, tick: (by: By, at: null) => Promise<void>): Promise<void> {
  const { watch } = world
  for (const { process } of [...Object.values(world.producers), world.housekeeper(), world.retainer()])
    process.goOn()
  await world.quiet()
  await world.settle()
  for (const glob of GLOBS) await world.block('unblock', glob)
  await world.wish('resume')
  for (const by of ['A', 'B'] as const) world.setUplink(by, 'back')
  const remote = world.remote()
  if (refusesSomeEdus(remote)) await restArrives(remote)
  world.setRemote(WELL)
  for (let probes = 0; probes < PROBES && world.isTroubled(); probes += 1) {
    await world.passes(SETTINGS.probeMs)
    await rounds(1)
  }
  await rounds(4)
  const view = await world.view()
  // With a clock that was set back by an hour, a wait of a second takes an hour.
  const waits = view !== null && view.openTxn !== null && (view.lookAt ?? 0) > view.now
  if (view !== null && (view.failures > 0 || view.held || waits)) await world.wish('reset')
  await rounds(3)
  await edusGo()
  await rounds(1, { sweeps: false })
  watch.moved(await world.view())
  watch.settled(await world.view(), { listed: false })
  for (let turn = 0; turn < 60; turn += 1) {
    const now = await world.view()
    const apart = now === null ? 0 : now.apart.length + now.waitingRooms.length + now.edusApart.length
    const longest = apart > 0 ? 25 * HOUR : 2 * HOUR
    if (now?.lookAt == null || now.lookAt > now.now + longest) break
    await world.passes(Math.max(0, now.lookAt - now.now))
    await rounds(1)
    await rounds(1, { sweeps: false })
  }
  watch.settled(await world.view(), { listed: true })

  /** What it refuses stays refused, and everything else that is durable arrives. */
  async function restArrives(remote: Remote): Promise<void> {
    const isBad = (n: number) => isRefusedEdu(remote, n)
    // With more of them, and nothing else, nothing can be concluded.
    if (watch.badEdus(isBad) > FEW_BAD) return
    await world.wish('reset')
    for (let looks = 0; looks < LOOKS; looks += 1) {
      await tick('A', null)
      await tick('B', null)
      await world.quiet()
      const now = await world.view()
      if (now === null || watch.goodEduWaits(now, isBad) === null) return
      await world.passes(Math.min(HOUR, Math.max(SECOND, (now.lookAt ?? now.now) - now.now)))
    }
    const now = await world.view()
    const left = now && watch.goodEduWaits(now, isBad)
    if (left !== null) violated('one bad EDU never holds up the rest (5.9)', `${left.pos} waits`)
  }

  /** Nobody wakes it for them: somebody looks. */
  async function edusGo(): Promise<void> {
    for (let looks = 0; looks < LOOKS; looks += 1) {
      const now = await world.view()
      if (now === null || !watch.edusWait(now)) return
      await world.wish('resume')
      await rounds(2)
    }
  }

  /**
   * At least so many, and until nothing is under way. Without sweeps at the end: a sweep makes due whom it finds owed something, and a search may have
   * its hour before it; the look after it says so.
   */
  async function rounds(least: number, { sweeps = true } = {}): Promise<void> {
    for (let round = 0; round < ROUNDS && (round < least || !(await isCalm())); round += 1) {
      await world.passes(700)
      await tick('A', null)
      await tick('B', null)
      if (sweeps) {
        // Each sweep counts its own steps.
        world.housekeeper().process.holdAt(null)
        world.sweep()
      }
      await world.quiet()
    }
  }

  async function isCalm(): Promise<boolean> {
    const now = await world.view()
    if (now === null) return true
    // Backoff is waited for elsewhere.
    if (now.failures > 0 || now.held) return true
    if (now.openTxn !== null || now.gaps.some(({ open }) => open)) return false
    return !watch.waiting(now) && (now.lookAt === null || now.lookAt > now.now)
  }
}
