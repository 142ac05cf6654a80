/** Blocks, and gives up what is owed to those who are blocked: one commit, so that nothing is given up of those who are not. */
import type { Block } from '../../allow/blocks.ts'
import { inTransaction, type Pool } from '../db.ts'
import { putBlock } from './blocks.ts'
import { noteDrop, wishManyToSkip } from './skips.ts'

/** `destinations`: whom the glob names, by their numbers. What comes later is kept. */
export async function blockAndDrop(
  pool: Pool,
  block: Omit<Block, 'at'>,
  destinations: readonly number[],
): Promise<void> {
  await inTransaction(pool, async (db) => {
    await putBlock(db, block)
    const upto = await noteDrop(db, { glob: block.glob, who: block.by, matched: destinations.length })
    const them = destinations.toSorted((a, b) => a - b)
    await wishManyToSkip(
      db,
      them.map((destination) => ({ destination, who: block.by, upto })),
    )
  })
}
