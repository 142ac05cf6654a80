/**
 * What does the daemon do at SIGHUP (contract, section 1)? It reads the configuration and the files that it names once more, and applies
 * what can be applied while it runs (`config/at-hangup.ts`).
 *
 * Always: all or nothing. Whatever is wrong with any file, also with a part that would need a restart, nothing is changed, and one line
 * says what is wrong. It happens in one go, between two other things that the process does.
 */
import { changesBetween, withoutRestart, type Changes } from '../config/at-hangup.ts'
import type { Config } from '../config/config.ts'
import { ConfigError } from '../config/error.ts'
import { sayInsecure } from '../config/weakened.ts'
import type { Log } from '../observe/log.ts'
import type { Changeable } from './changeable.ts'
import { readSettings, type DaemonSettings, type SettingsNeeds } from './settings.ts'

export interface ReloadNeeds extends SettingsNeeds {
  live: Pick<Changeable<DaemonSettings>, 'now'>
  /** Throws with nothing changed, or changes everything. */
  apply: (next: DaemonSettings) => void
}

/** `read` gives the configuration as its file and the environment say it now; it may throw. */
export type Reload = (read: () => Config) => void

export function makeReload(needs: ReloadNeeds): Reload {
  const { live, apply, log } = needs
  return (read) => {
    let changes: Changes
    const before = live.now()
    try {
      const next = mayFollow(before.said, read())
      const settings = readSettings(withoutRestart(before.said, next), needs)
      changes = withFiles(changesBetween(before.said, next), before, settings)
      apply(settings)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      log.error({ reason }, 'SIGHUP: the configuration could not be read again, and nothing was changed')
      return
    }
    say(changes, before.said, live.now().said, log)
  }
}

function mayFollow(running: Config, next: Config): Config {
  const { server_name, data_dir } = running
  if (next.server_name !== server_name)
    throw new ConfigError('server_name', `is ${next.server_name}, but this limpet runs for ${server_name}`)
  // Tokens and the key that no setting names lie there: those of another folder may belong to another limpet.
  if (next.data_dir !== data_dir)
    throw new ConfigError('data_dir', `is ${next.data_dir}, but this limpet runs in ${data_dir}: restart it`)
  return next
}

/** With the settings of which not the value is another one, but what stands in the file. */
function withFiles(changes: Changes, before: DaemonSettings, now: DaemonSettings): Changes {
  const others: string[] = []
  const sameKey = now.key.keyId === before.key.keyId && now.key.publicKey === before.key.publicKey
  if (!sameKey) others.push('signing_key_path')
  if (now.authorities.join('\n') !== before.authorities.join('\n')) others.push('federation.custom_ca_paths')
  // Generated ones are made after the configuration was read.
  others.push(...changesBetween(before.said, now.said).applied)
  return { ...changes, applied: [...new Set([...changes.applied, ...others])].sort() }
}

/** One line, by the old or the new level of the log, whichever lets more through. */
function say(changes: Changes, before: Config, now: Config, log: Log): void {
  const insecure = changes.applied.includes('federation.insecure_domains')
  const level = now.log.level
  const line = () => {
    if (insecure) sayInsecure(now.federation.insecure_domains, log)
    const restart = changes.needs_restart.length > 0
    log[restart ? 'warn' : 'info'](
      changes,
      `SIGHUP: the configuration was read again${restart ? '; what needs a restart is as it was' : ''}`,
    )
  }
  if (level === before.log.level) {
    line()
    return
  }
  const wasBelow = log.levels.values[before.log.level] ?? Infinity
  const isBelow = log.levels.values[level] ?? Infinity
  if (isBelow < wasBelow) log.level = level
  line()
  log.level = level
}
