/**
 * Admin API: an operator's action on all destinations whose names a glob matches.
 *
 * Always: what the same action on one destination would be refused for is left out, and counted by its reason. Nothing is done on a dry run, and a
 * glob that matches nobody is an error, so that a slip in it is not taken for something done.
 */
import type { FastifyInstance } from 'fastify'
import { isNamedBy, parseDomainGlob, type DomainGlob } from '../../allow/domain-glob.ts'
import { blockedBecause } from '../../explain/destination.ts'
import { actOnMany, readMatchable, type Matchable } from '../../store/delivery/planned-acts.ts'
import { callerName } from '../auth.ts'
import type { ActionNeeds } from './actions.ts'
import { fieldsOf, flagOf, oneOfField, textField } from './body.ts'
import { badParam, notFound } from './refusal.ts'

const ACTIONS = ['wake', 'pause', 'resume', 'reset', 'skip'] as const
/** Names that are listed in an answer. */
const LISTED = 100

export function registerManyRoute(app: FastifyInstance, needs: Omit<ActionNeeds, 'wake'>): void {
  const { pool, vetDomain } = needs
  app.post('/v1/actions', async (request) => {
    const fields = fieldsOf(request.body, ['action', 'glob', 'dry_run'])
    const action = oneOfField(fields, 'action', ACTIONS)
    const glob = globOf(textField(fields, 'glob'))
    const isDry = flagOf(fields, 'dry_run')
    const matched = (await readMatchable(pool)).filter(({ name }) => isNamedBy(glob, name))
    if (matched.length === 0) throw notFound(`no destination matches ${glob.text}`)
    const blocked = new Set(matched.filter(({ name }) => blockedBecause(name, vetDomain) !== null))
    const leftOut = action === 'wake' ? leftOutOf(matched, blocked) : NOBODY
    const out = new Set(Object.values(leftOut).flat())
    const them = matched.filter((one) => !out.has(one))
    if (!isDry && them.length > 0)
      await actOnMany(pool, {
        ...{ action, glob: glob.text, who: callerName(request), perSecond: needs.rampPerSecond },
        destinations: them.map(({ id }) => id),
      })
    return {
      matched: matched.length,
      names: matched.slice(0, LISTED).map(({ name }) => name),
      blocked: blocked.size,
      left_out: {
        blocked: leftOut.blocked.length,
        paused: leftOut.paused.length,
        held: leftOut.held.length,
      },
    }
  })
}

interface LeftOut {
  blocked: Matchable[]
  paused: Matchable[]
  /** They asked for no requests (`Retry-After`). */
  held: Matchable[]
}

const NOBODY: LeftOut = { blocked: [], paused: [], held: [] }

/** Each under the first reason for which a wake of it alone would be refused. */
function leftOutOf(matched: readonly Matchable[], blocked: ReadonlySet<Matchable>): LeftOut {
  const others = matched.filter((one) => !blocked.has(one))
  return {
    blocked: [...blocked],
    paused: others.filter(({ paused }) => paused),
    held: others.filter(({ paused, held }) => held && !paused),
  }
}

function globOf(text: string): DomainGlob {
  try {
    return parseDomainGlob(text)
  } catch (error) {
    throw badParam(`glob: ${error instanceof Error ? error.message : 'not a glob'}`)
  }
}
