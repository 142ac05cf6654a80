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
  /** For `after`. Where the story did not come to a good end, it shows the end of everybody's log. */
  clear(context: Mocha.Context): Promise<void>
}

interface Tells {
  logTail(lines?: number): Promise<string>
}

const CLEAR_MS = 300_000
/** Of each log, where something went wrong. */
const LINES = 60

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
      if (all === null) return
      const { a, b, c, redisOfA } = all
      const tests = context.test?.parent?.tests ?? []
      if (tests.some(({ state }) => state !== 'passed')) await tell({ a, b, c })
      for (const limpet of limpets) await limpet.dispose()
      if ((await redisOfA.command('PING').catch(() => 'gone')) !== '+PONG') await redisOfA.start()
      for (const synapse of [a, b, c]) await synapse.settle()
    },
  }

  async function tell(servers: Record<string, Tells>): Promise<void> {
    const everybody = { ...servers, ...Object.fromEntries(limpets.map((one, i) => [`limpet ${i + 1}`, one])) }
    for (const [name, one] of Object.entries(everybody)) {
      say(`the end of ${name}'s log:\n${await one.logTail(LINES)}`)
    }
  }
}
