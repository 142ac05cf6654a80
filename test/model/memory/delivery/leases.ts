/** `store/{leases,follow}.ts`: who serves a destination, and who follows the log for it. */
import { forgottenAfter, lives, mayWrite, unnarrowed } from '../rules.ts'
import { twin, type Call, type Twins } from '../statement.ts'

export const LEASES = {
  'register a worker': twin<[string, string, number]>(({ t, now }, id, _, ms) => {
    t.workers.put(id, { id, lease_until: now + ms, of_before: false, answered_at: null })
    return 1
  }),
  'renew a worker': twin<[string, number, number | null]>(({ t, now }, id, ms, answered_at) => {
    if (!mayWrite(t, id, now)) return 0
    t.workers.change(id, { lease_until: now + ms, answered_at })
    return 1
  }),
  'take the destination': twin<[string[], string[]]>(({ t, now }, workers, names) =>
    names.flatMap((name, i) => {
      const worker = workers[i] ?? ''
      const d = t.destinations.all().find((one) => one.name === name)
      if (d === undefined) return []
      t.destinations.lock(d.id)
      const alive = mayWrite(t, worker, now)
      const owner = d.lease_owner
      const free = alive && (owner === null || owner === worker || !lives(t, owner, now))
      t.destinations.change(
        d.id,
        free
          ? { lease_owner: worker, fence: d.fence + 1, follows: false, missed: 0 }
          : { wake_seq: d.wake_seq + 1 },
      )
      return [{ id: d.id, name, fence: d.fence + (free ? 1 : 0), free, alive }]
    }),
  ),
  'give way': twin<[string, number, number, number]>((call, worker, fence, id, look_at) => {
    const d = held(call, worker, fence, id)
    if (d === null) return []
    call.t.destinations.change(id, { lease_owner: null, follows: false, look_at })
    return [{ quick: d.quick }]
  }),
  'find what is owned': twin<[string]>(({ t }, worker) =>
    t.destinations
      .all()
      .filter((d) => d.lease_owner === worker)
      .map(({ id, name, fence }) => ({ id, name, fence })),
  ),
  'release what was abandoned': twin<[string, number, number, number]>(
    ({ t, now }, worker, fence, id, after) => {
      const d = t.destinations.get(id)
      if (d?.lease_owner !== worker || d.fence !== fence) return 0
      t.destinations.change(id, { lease_owner: null, follows: false, look_at: now + after })
      return 1
    },
  ),
  'ask for another look': twin<[string]>(({ t }, name) => {
    const d = t.destinations.all().find((one) => one.name === name)
    if (d === undefined) return []
    t.destinations.change(d.id, { wake_seq: d.wake_seq + 1 })
    return [{ held: d.lease_owner !== null }]
  }),
  'let go': twin<LettingGo>(
    (call, ids, workers, fences, lookAts, positions, wakeSeqs, readAts, deadlineAts, durable, ephemeral) =>
      ids.flatMap((id, i) => {
        const d = held(call, workers[i] ?? '', fences[i] ?? 0, id)
        const wakeSeq = wakeSeqs[i] ?? null
        const position = positions[i] ?? null
        if (d === null || (wakeSeq !== null && d.wake_seq !== wakeSeq)) return []
        if (position !== null && forgottenAfter(call.t, readAts[i] ?? 0)) return []
        call.t.destinations.change(id, {
          ...{ lease_owner: null, follows: false, look_at: lookAts[i] ?? null },
          deadline_at: deadlineAts[i] ?? null,
          position: Math.max(d.position, position ?? d.position),
          durable_pos: Math.max(d.durable_pos, durable[i] ?? 0),
          ephemeral_pos: Math.max(d.ephemeral_pos, ephemeral[i] ?? 0),
        })
        return [{ id }]
      }),
  ),
} satisfies Twins

/** Ids, workers, fences, when to look again, positions, wishes seen, heads read at, deadline tries, cursors of EDUs. */
type LettingGo = [
  number[],
  string[],
  number[],
  (number | null)[],
  (number | null)[],
  (number | null)[],
  number[],
  (number | null)[],
  (number | null)[],
  (number | null)[],
]
type Following = [number[], string[], number[], number[], number[], number[], number[], number[]]

export const FOLLOW = {
  'begin to follow': twin<Following>((call, ...input) =>
    unasked(call, input)
      .filter(({ id, from }) => !call.t.replays.all().some((p) => p.destination === id && p.pos > from))
      .map(({ id, cursors }) => {
        call.t.destinations.change(id, { follows: true, look_at: null, ...cursors })
        return { id }
      }),
  ),
  'who is in the rooms': twin<[number[], number]>(({ t }, rooms, after) =>
    rooms.flatMap((room) => {
      const reaches = ({ until }: { until: number | null }) => until === null || until > after
      const members = t.memberships
        .all()
        .filter((m) => m.room === room && reaches(m))
        .toSorted((a, b) => a.destination - b.destination || a.since - b.since)
      if (members.length === 0) return []
      return [
        {
          room,
          destination: members.map(({ destination }) => destination),
          since: members.map(({ since }) => since),
          until: members.map(({ until }) => until ?? Number.MAX_SAFE_INTEGER),
        },
      ]
    }),
  ),
  'who of the followed is wished for': twin<[number[], number[]]>(({ t, now }, ids, wakeSeqs) =>
    ids.flatMap((id, i) => {
      const d = t.destinations.get(id)
      if (d === undefined) return []
      return d.wake_seq !== wakeSeqs[i] || (d.look_at !== null && d.look_at <= now) ? [{ id }] : []
    }),
  ),
  'let go of the followed': twin<Following>((call, ...input) =>
    unasked(call, input).map(({ id, cursors }) => {
      call.t.destinations.change(id, { lease_owner: null, follows: false, look_at: null, ...cursors })
      return { id }
    }),
  ),
  'stop following': twin<[number, string, number]>(({ t }, id, worker, fence) => {
    const d = t.destinations.get(id)
    if (d?.lease_owner !== worker || d.fence !== fence) return 0
    t.destinations.change(id, { follows: false })
    return 1
  }),
} satisfies Twins

/** Held, and nobody asked for a look since. */
function unasked(
  call: Call,
  [ids, workers, fences, wakeSeqs, positions, narrowedSeqs, durable, ephemeral]: Following,
) {
  return ids.flatMap((id, i) => {
    const d = held(call, workers[i] ?? '', fences[i] ?? 0, id)
    if (d === null || d.wake_seq !== wakeSeqs[i] || !unnarrowed(d, narrowedSeqs[i])) return []
    const from = positions[i] ?? 0
    const cursors = {
      position: Math.max(d.position, from),
      durable_pos: Math.max(d.durable_pos, durable[i] ?? 0),
      ephemeral_pos: Math.max(d.ephemeral_pos, ephemeral[i] ?? 0),
    }
    return [{ id, from, cursors }]
  })
}

/** Its row, locked, where the worker holds it. */
export function held({ t, now, rules }: Call, worker: string, fence: number, id: number) {
  const d = t.destinations.get(id)
  if (d === undefined || !rules.holds(t, d, worker, fence, now)) return null
  t.destinations.lock(id)
  return d
}
