/**
 * Where a story plays: the shared homeservers, and the limpets it starts. When it is over, however it ended, the limpets
 * are gone and the homeservers are as they were found.
 */
import { type Homeservers, homeservers, say } from './homeservers.ts'
import { type Limpet, type LimpetOptions, startLimpet } from './limpet.ts'

export interface Stage {
  /** The shared three. Call it in a `before` hook; it may skip the suite. */
  open(context: Mocha.Context): Promise<Homeservers>
  /** Starts a limpet, with a database of its own unless told otherwise. */
  limpet(options: LimpetOptions): Promise<Limpet>
  /** For `after`. */
  clear(context: Mocha.Context): Promise<void>
  /** For `afterEach`: where a test failed, the end of everybody's log. */
  tellOfFailure(context: Mocha.Context): Promise<void>
}

const CLEAR_MS = 300_000

export function makeStage(): Stage {
  const limpets: Limpet[] = []
  let all: Homeservers | null = null
  return {
    async open(context) {
      all = await homeservers(context)
      return all
    },
    async limpet(options) {
      const limpet = await startLimpet(options)
      limpets.push(limpet)
      return limpet
    },
    async clear(context) {
      context.timeout(CLEAR_MS)
      for (const limpet of limpets) await limpet.dispose()
      if (all === null) return
      if ((await all.redisOfA.command('PING').catch(() => 'gone')) !== '+PONG') await all.redisOfA.start()
      for (const synapse of [all.a, all.b, all.c]) await synapse.settle()
    },
    async tellOfFailure(context) {
      if (context.currentTest?.state !== 'failed' || all === null) return
      const { a, b, c } = all
      const everybody = { a, b, c, ...Object.fromEntries(limpets.map((one, i) => [`limpet ${i + 1}`, one])) }
      for (const [name, one] of Object.entries(everybody))
        say(`the end of ${name}'s log:\n${await one.logTail(20)}`)
    },
  }
}
