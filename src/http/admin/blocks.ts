/**
 * Admin API: whom operators block. Every process goes by it within two seconds (`deliver/blocking.ts`); the one that is asked does so before it
 * answers.
 */
import type { FastifyInstance } from 'fastify'
import { isNamedBy, parseDomainGlob } from '../../allow/domain-glob.ts'
import type { Pool } from '../../store/db.ts'
import { putBlock, readBlocks, removeBlock } from '../../store/delivery/blocks.ts'
import { blockAndDrop } from '../../store/delivery/block-and-drop.ts'
import { readMatchable, type Matchable } from '../../store/delivery/planned-acts.ts'
import { callerName } from '../auth.ts'
import { fieldsOf, flagOf } from './body.ts'
import { choiceOf, textOf } from './query.ts'
import { badParam, notFound } from './refusal.ts'

export interface BlockRouteNeeds {
  pool: Pool
  /** Has this process read the list of blocks now. */
  readBlocks: () => Promise<void>
}

/** Characters of a reason. */
const LONGEST_REASON = 500
/** A server name has up to 230, and a glob for one needs no more, characters. */
const LONGEST_GLOB = 255
/** Names that are told of those that a glob concerns. */
const MOST_NAMED = 100

export function registerBlockRoutes(app: FastifyInstance, { pool, readBlocks: hear }: BlockRouteNeeds): void {
  const all = async () => (await readBlocks(pool, null))?.blocks ?? []
  const isBlocked = async (glob: string) => (await all()).some((block) => block.glob === glob)

  app.get('/v1/blocks', async () => ({ blocks: await all() }))

  app.post('/v1/blocks', async (request) => {
    const { glob, reason, drop, dryRun } = wishOf(request.body)
    if (dryRun) return concerned(pool, glob)
    const block = { glob, reason, by: callerName(request) }
    if (drop)
      await blockAndDrop(
        pool,
        block,
        (await matching(pool, glob)).map(({ id }) => id),
      )
    else await putBlock(pool, block)
    await hearOf(hear)
    return {}
  })

  app.delete('/v1/blocks', async (request) => {
    const { query } = request
    const text = textOf(query, 'glob')
    if (text === null) throw badParam('glob is missing: which block is to go?')
    const glob = globOf(text)
    const isDryRun = choiceOf(query, 'dry_run', ['true', 'false']) === 'true'
    const isThere = isDryRun
      ? await isBlocked(glob)
      : await removeBlock(pool, { glob, by: callerName(request) })
    if (!isThere) throw notFound(`there is no block ${glob}`)
    if (isDryRun) return concerned(pool, glob)
    await hearOf(hear)
    return {}
  })
}

/** It is written down: that the list is not read again at once is no failure, since all read it every second. */
const hearOf = (hear: () => Promise<void>): Promise<void> => hear().catch(() => undefined)

/** Destinations that are there; the glob counts for those that come later as well. */
async function concerned(pool: Pool, glob: string): Promise<{ matched: number; names: string[] }> {
  const names = (await matching(pool, glob)).map(({ name }) => name)
  return { matched: names.length, names: names.slice(0, MOST_NAMED) }
}

async function matching(pool: Pool, text: string): Promise<Matchable[]> {
  const glob = parseDomainGlob(text)
  return (await readMatchable(pool)).filter(({ name }) => isNamedBy(glob, name))
}

interface BlockWish {
  glob: string
  reason: string | null
  /** What is owed to them now is given up. */
  drop: boolean
  dryRun: boolean
}

const FIELDS: readonly string[] = ['glob', 'reason', 'drop', 'dry_run']

function wishOf(body: unknown): BlockWish {
  const wish = fieldsOf(body, FIELDS)
  const { glob, reason = null } = wish
  if (typeof glob !== 'string') throw badParam('glob must be a string')
  if (reason !== null && (typeof reason !== 'string' || reason.length > LONGEST_REASON))
    throw badParam(`reason must be a string of at most ${LONGEST_REASON} characters`)
  if (reason !== null && !isStorable(reason)) throw badParam('reason has characters that cannot be stored')
  return { glob: globOf(glob), reason, drop: flagOf(wish, 'drop'), dryRun: flagOf(wish, 'dry_run') }
}

/** PostgreSQL takes neither. */
const isStorable = (text: string): boolean => !/[\0\p{Cs}]/u.test(text)

/** In lower case, as it is stored. */
function globOf(text: string): string {
  const glob = text.toLowerCase()
  if (glob.length > LONGEST_GLOB) throw badParam(`glob must have at most ${LONGEST_GLOB} characters`)
  try {
    parseDomainGlob(glob)
  } catch (error) {
    throw badParam(error instanceof Error ? error.message : 'glob is none')
  }
  return glob
}
