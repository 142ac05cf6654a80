/** Lets a PDU that was planned go after everything else that is due (`rules/last.ts`): it is apart, as what is searched, and its room waits behind it. */
import { inTransaction, type Pool } from '../store/db.ts'
import type { DestinationState } from '../store/delivery/destination.ts'
import type { Held } from '../store/delivery/leases.ts'
import { takeOutToGoLast } from '../store/delivery/take-out-last.ts'
import type { Sending } from './rules/plan.ts'
import { takeOut } from './take-out.ts'

export async function letGoLast(
  pool: Pool,
  { held, state }: { held: Held; state: DestinationState },
  { pdus: [only], acknowledges }: Sending,
): Promise<void> {
  if (only === undefined) return
  const { position: toPos, gapCursor, closesGap, sticky } = acknowledges
  const moves = { fromPos: state.position, toPos, gap: state.gap?.id ?? null, gapCursor, closesGap, sticky }
  const { pdu, letter } = only
  await inTransaction(pool, (db) =>
    takeOut(db, { held, state }, moves, (read) =>
      takeOutToGoLast(db, held, { ...moves, ...read, pos: pdu.pos, lane: letter }, state),
    ),
  )
}
