/** Says in the log that a destination begins to fail, and that it answers again: what is between them is in its transactions. */
import type { Log } from '../observe/log.ts'
import type { Attempt, Recorded } from './record.ts'

/** Of an attempt that was written down. */
export function sayChange(
  log: Pick<Log, 'info'>,
  { state, afterTakeover }: Pick<Attempt, 'state' | 'afterTakeover'>,
  recorded: Recorded,
): Recorded {
  if (recorded === null) return recorded
  const { result, judged } = recorded
  const { failures, failingSince } = state.waiting
  const destination = state.name
  if (judged.kind === 'answered') {
    if (failingSince !== null) log.info({ destination, failures, failingSince }, 'destination answers again')
  } else if (
    failingSince === null &&
    result.kind === 'failed' &&
    !(judged.kind === 'busy' && afterTakeover)
  ) {
    const { stage, status, message } = result
    log.info({ destination, stage, status, message }, 'destination is failing')
  }
  return recorded
}
