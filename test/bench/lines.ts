/** What each measurement says in the table: a line for each figure, and what was aimed at (`docs/benchmarks.md`). */
import type { Backlog } from './backlog.ts'
import type { CatchUp } from './catch-up.ts'
import type { Growth } from './growth.ts'
import type { LargeRoom } from './large-room.ts'
import type { Resident } from './resident.ts'
import type { RetentionPause } from './retention-pause.ts'
import type { Steady } from './steady.ts'
import type { Cost, FollowingCosts } from './synapse.ts'
import type { Window } from './window.ts'
import type { WriteSide } from './write-side.ts'

export interface Line {
  what: string
  figure: string
  /** For the ratio to the raw loop. */
  perSecond?: number
  aim?: {
    text: string
    /** Whether it was met, the raw loop (transactions a second) being so fast; null: it can't be told. */
    met: (raw: number | null) => boolean | null
  }
  note: string
}

export const whole = (figure: number) => Math.round(figure).toLocaleString('en-US')

const atMost = (most: number, unit: string, figure: number) => ({
  text: `<= ${whole(most)}${unit}`,
  met: () => figure <= most,
})
const below = (limit: number, unit: string, figure: number) => ({
  text: `< ${whole(limit)}${unit}`,
  met: () => figure < limit,
})
const atLeast = (least: number, unit: string, figure: number) => ({
  text: `>= ${whole(least)}${unit}`,
  met: () => figure >= least,
})

export function steadyLines(queue: string, { window, transactionsPerTurn, latency }: Steady): Line[] {
  const perSecond = window.transactionsPerSecond
  const pdus = window.pdusPerTransaction
  const aim = {
    text: '>= 0.6 of raw',
    met: (raw: number | null) => (raw === null ? null : perSecond / raw >= 0.6),
  }
  return [
    {
      what: `steady, queue on ${queue}`,
      figure: `${whole(perSecond)} txn/s`,
      perSecond,
      ...(queue === 'redis' ? { aim } : {}),
      note: cpuOf(window),
    },
    { what: '  PDUs', figure: `${whole(perSecond * pdus)} /s`, note: `${pdus.toFixed(2)} a transaction` },
    { what: '  transactions a turn', figure: transactionsPerTurn.toFixed(2), note: '' },
    {
      what: '  200 to received, median',
      figure: `${latency.median.toFixed(1)} ms`,
      aim: atMost(100, ' ms', latency.median),
      note: 'at 200 requests/s of one event',
    },
    {
      what: '  200 to received, p99',
      figure: `${latency.p99.toFixed(1)} ms`,
      aim: atMost(1_000, ' ms', latency.p99),
      note: `the worst ${latency.worst.toFixed(0)} ms`,
    },
  ]
}

export function writeSideLines(queue: string, side: WriteSide): Line[] {
  return [
    ...side.walBytesPerEvent.map(({ servers, alone, inBatches }) => ({
      what: `WAL, room of ${whole(servers)}, ${queue}`,
      figure: `${whole(alone)} B/event`,
      aim: atMost(4_096, ' B', alone),
      note: `one a request; ${whole(inBatches)} B in batches of 500`,
    })),
    {
      what: `ingest, batches of 500, ${queue}`,
      figure: `${whole(side.batchesPerSecond)} events/s`,
      aim: atLeast(5_000, '/s', side.batchesPerSecond),
      note: '2 producers',
    },
    {
      what: `ingest, 200 requests at once, ${queue}`,
      figure: `${whole(side.singlesPerSecond)} events/s`,
      note: 'one event a request',
    },
  ]
}

export function largeRoomLines(queue: string, { servers, firstContact, connected }: LargeRoom): Line[] {
  return [
    {
      what: `${whole(servers)} servers, first contact, ${queue}`,
      figure: `${firstContact.toFixed(1)} s`,
      note: 'with the TLS handshakes of both sides',
    },
    {
      what: `${whole(servers)} servers, connected, ${queue}`,
      figure: `${connected.toFixed(1)} s`,
      note: '200 to the last delivery',
    },
  ]
}

export function catchUpLines(queue: string, caught: CatchUp): Line[] {
  const { events, rooms, seconds, transactions, pdus, sticky, stickyWithin, statements, idleStatements } =
    caught
  const least = Math.ceil(sticky / 50)
  return [
    {
      what: `catch-up, ${whole(events)} events in ${whole(rooms)} rooms, ${queue}`,
      figure: `${whole(transactions)} txns`,
      aim: atMost(75, '', transactions),
      note: `${whole(pdus)} PDUs`,
    },
    {
      what: `  all ${sticky} sticky events within`,
      figure: `${stickyWithin} txns`,
      aim: atMost(least, '', stickyWithin),
      note: '50 are the most that one may hold',
    },
    { what: '  time', figure: `${seconds.toFixed(2)} s`, note: 'from `resume` to the last transaction' },
    {
      what: '  statements',
      figure: whole(statements),
      note: `${(statements / transactions).toFixed(1)} a transaction; ${whole(idleStatements)} a second when nothing happens`,
    },
    {
      what: '  resident, at most',
      figure: megabytes(caught.resident?.peak),
      note: residentNote(caught.resident),
    },
  ]
}

export function growthLines(queue: string, { warm, idle, window, idleCpuMs, resident }: Growth): Line[] {
  const perSecond = window.transactionsPerSecond
  const cpu = [idleCpuMs.limpet, idleCpuMs.postgres].map((ms) => (ms === null ? '?' : ms.toFixed(1)))
  return [
    {
      what: `traffic to ${whole(warm)}, ${whole(idle)} more idle, ${queue}`,
      figure: `${whole(perSecond)} txn/s`,
      perSecond,
      note: cpuOf(window),
    },
    {
      what: '  without traffic, CPU a second',
      figure: `${cpu.join(' + ')} ms`,
      note: `limpet + postgres, with a sweep; resident with traffic ${megabytes(resident?.now)}`,
    },
  ]
}

export function backlogLines(queue: string, backlog: Backlog): Line[] {
  const { events, memberships, destinations, answering, caughtUp, seconds, answered, failed, resident } =
    backlog
  const peak = resident?.peak
  return [
    {
      what: `resident, backlog of ${whole(events)}, ${queue}`,
      figure: megabytes(peak),
      ...(peak === undefined ? {} : { aim: atMost(350, ' MB', peak) }),
      note: `${whole(destinations)} destinations, ${whole(memberships)} memberships; at the end ${megabytes(resident?.now)}`,
    },
    {
      what: `  ${whole(caughtUp)} of the ${whole(answering)} that answer caught up`,
      figure: `${seconds.toFixed(1)} s`,
      note: `in a minute ${whole(answered)} transactions, and ${whole(failed)} tries that failed`,
    },
  ]
}

export function pauseLines({ aloneMs, longestMs, appended, goneAfterMs }: RetentionPause): Line[] {
  return [
    {
      what: 'longest pause of ingest, a partition dropped',
      figure: `${whole(longestMs)} ms`,
      aim: below(200, ' ms', longestMs),
      note: `${whole(appended)} events in ${(goneAfterMs / 1000).toFixed(0)} s under a reader; with nothing beside ${whole(aloneMs)} ms`,
    },
  ]
}

export function followingLines({ rooms, message, remote, together, idleMinute }: FollowingCosts): Line[] {
  const rows = (
    what: string,
    { theirs, ours, cpuMs }: Cost,
    most: { theirs?: number; ours?: number },
    per: string,
  ) => [
    {
      what: `${what}, Synapse's database`,
      figure: `${few(theirs)} statements${per}`,
      ...(most.theirs === undefined ? {} : { aim: atMost(most.theirs, '', Math.round(theirs)) }),
      note: cpuMs === null ? '' : `CPU of limpet ${few(cpuMs)} ms${per}`,
    },
    {
      what: `${what}, limpet's`,
      figure: `${few(ours)} statements${per}`,
      ...(most.ours === undefined ? {} : { aim: atMost(most.ours, '', Math.round(ours)) }),
      note: '',
    },
  ]
  return [
    ...rows('followed, a message', message, { theirs: 5, ours: 6 }, ''),
    ...rows("followed, another server's event", remote, { theirs: 3 }, ''),
    ...rows(`followed, ${whole(together.events)} messages at once, each`, together, {}, ''),
    ...rows(`followed, nothing in ${whole(rooms)} rooms`, idleMinute, {}, ' a minute'),
  ]
}

const few = (figure: number) => figure.toLocaleString('en-US', { maximumFractionDigits: 2 })

export function cpuOf({ cpuUs }: Window): string {
  const known = Object.entries(cpuUs).flatMap(([name, us]) => (us === null ? [] : [`${name} ${whole(us)}`]))
  return known.length === 0 ? '' : `CPU µs/txn: ${known.join(', ')}`
}

const megabytes = (mb: number | undefined) => (mb === undefined ? '?' : `${whole(mb)} MB`)
const residentNote = (resident: Resident | null) =>
  resident === null ? 'Linux only' : `${whole(resident.now)} MB at the end`
