/** Says in the log that a destination begins to fail, and that it answers again: what is between them is in its transactions. */
import type { Log } from '../observe/log.ts'
import type { DestinationState } from '../store/delivery/destination.ts'
import type { SendResult } from '../wire/send-result.ts'
import type { Judged } from './rules/outcome.ts'

/** Of an attempt that was written down; null: it was not. `state` is from before it. */
export function sayChange(
  log: Pick<Log, 'info'>,
  {
    state,
    afterTakeover,
  }: { state: Pick<DestinationState, 'name' | 'waiting' | 'isolation'>; afterTakeover: boolean },
  recorded: { result: SendResult; judged: Judged } | null,
): void {
  if (recorded === null) return
  const { result, judged } = recorded
  const { failures, failingSince } = state.waiting
  const destination = state.name
  if (judged.kind === 'answered') {
    if (failingSince !== null) log.info({ destination, failures, failingSince }, 'destination answers again')
  } else if (
    failingSince === null &&
    // It takes other things.
    state.isolation?.search?.other !== true &&
    result.kind === 'failed' &&
    !(judged.kind === 'busy' && afterTakeover)
  ) {
    const { stage, status, message } = result
    log.info({ destination, stage, status, message }, 'destination is failing')
  }
}
