/**
 * `limpet run`: the daemon in the foreground, until a signal.
 *
 * At SIGTERM or SIGINT it takes no new work, lets requests in flight end, and exits 0. A second signal makes it exit
 * at once. Neither loses anything that was acknowledged, and neither leaves the embedded PostgreSQL running. The last
 * log line of an orderly stop is `stopped`. At SIGHUP it reads its configuration again (`daemon/reload.ts`).
 */
import type { Config, Listener } from '../config/config.ts'
import { sayInsecure, weakenedBy } from '../config/weakened.ts'
import { startDaemon } from '../daemon/daemon.ts'
import type { Role } from '../daemon/daemon.ts'
import type { Log } from '../observe/log.ts'
import type { Io } from './io.ts'

export interface Running {
  /** Reads the configuration again. It does not throw. */
  reload(): void
  /** Ends when it has stopped. */
  stop(): Promise<void>
  /** Rejects when the daemon can't go on by itself. */
  readonly done: Promise<void>
}

/** Where signals come from: `process`. */
export interface SignalSource {
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown
}

export interface RunOptions {
  readonly config: Config
  /** Reads it again; throws where it is wrong. */
  readonly reread: () => Config
  readonly roles: readonly Role[]
  /** Instead of the configuration's; undefined: as there. */
  readonly listen: readonly Listener[] | undefined
  readonly log: Log
  readonly linesLost: () => number
  /** The environment that the process was started with. */
  readonly env: Io['env']
}

export function run({ config, reread, roles, listen, log, linesLost, env }: RunOptions): Promise<void> {
  for (const line of weakenedBy(env, process.execArgv)) log.warn(line)
  sayInsecure(config.federation.insecure_domains, log)
  return untilSignal(process, {
    start: async () => {
      const daemon = await startDaemon({ config, roles, listen: listen ?? config.listen, log, linesLost })
      return { ...daemon, reload: () => daemon.reload(reread) }
    },
    exitNow: (status) => process.exit(status),
    now: () => performance.now(),
    log,
  })
}

/**
 * A terminal sends SIGINT to npm and to us, and npm passes its own on to us: two within this time are one Ctrl-C.
 */
const SAME_CTRL_C_MS = 250

/** Starts, and returns when a signal has stopped it. Throws what `start` or the running daemon fails with. */
export async function untilSignal(
  signals: SignalSource,
  needs: { start: () => Promise<Running>; exitNow: (status: number) => void; now: () => number; log: Log },
): Promise<void> {
  const { start, exitNow, now, log } = needs
  let first: { signal: NodeJS.Signals; at: number } | null = null
  let asked: () => void = () => undefined
  const stopAsked = new Promise<void>((resolve) => (asked = resolve))
  const onSignal = (signal: NodeJS.Signals) => {
    if (first === null) {
      first = { signal, at: now() }
      log.info({ signal }, 'stopping; a second signal exits at once')
      asked()
      return
    }
    if (signal === 'SIGINT' && first.signal === 'SIGINT' && now() - first.at < SAME_CTRL_C_MS) return
    log.warn({ signal }, 'exiting at once')
    exitNow(signal === 'SIGINT' ? 130 : 143)
  }
  const isStopping = () => first !== null
  const hangup: { running: Running | null; waits: boolean } = { running: null, waits: false }
  const onHangup = () => {
    if (isStopping()) {
      log.info('SIGHUP: limpet stops, and reads nothing again')
      return
    }
    hangup.running?.reload()
    if (hangup.running !== null || hangup.waits) return
    // What it starts with was read already, and may be what it was before the operator changed it.
    hangup.waits = true
    log.info('SIGHUP: the configuration is read again as soon as limpet runs')
  }
  signals.on('SIGTERM', onSignal)
  signals.on('SIGINT', onSignal)
  signals.on('SIGHUP', onHangup)
  try {
    const daemon = await starting(start)
    if (daemon === null) return
    hangup.running = daemon
    if (hangup.waits && !isStopping()) daemon.reload()
    // One who stops while it starts waits for the start: what was opened has to be closed again.
    try {
      await Promise.race([stopAsked, daemon.done])
    } finally {
      await daemon.stop()
      log.info('stopped')
    }
  } finally {
    signals.off('SIGTERM', onSignal)
    signals.off('SIGINT', onSignal)
    signals.off('SIGHUP', onHangup)
  }

  /** Null where it was to stop before it ran: then it does not matter any more what kept it from running. */
  async function starting(begin: () => Promise<Running>): Promise<Running | null> {
    try {
      return await begin()
    } catch (error) {
      if (first === null) throw error
      log.info({ reason: error instanceof Error ? error.message : String(error) }, 'the start was broken off')
      log.info('stopped')
      return null
    }
  }
}
