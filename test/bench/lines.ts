/** What each measurement says in the table: a line for each figure, and what was aimed at (`docs/benchmarks.md`). */
import type { Backlog } from './backlog.ts'
import type { CatchUp } from './catch-up.ts'
import type { Growth } from './growth.ts'
import { median, middleOf } from './compare-verdict.ts'
import type { Dead, Death, Round } from './dead.ts'
import { medianOf, type LargeRoom } from './large-room.ts'
import {
  atLeast,
  atMost,
  below,
  cpuOf,
  databaseLine,
  few,
  megabytes,
  residentNote,
  shares,
  whole,
  type Line,
} from './line.ts'
import type { RetentionPause } from './retention-pause.ts'
import type { Steady } from './steady.ts'
import type { Cost, FollowingCosts } from './synapse.ts'
import type { WriteSide } from './write-side.ts'

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
      ...shares(window),
      ...(queue === 'redis' ? { aim } : {}),
      note: cpuOf(window),
    },
    databaseLine(window),
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
      figure: `${whole(side.batches.perSecond)} events/s`,
      thread: side.batches.costs.thread,
      aim: atLeast(5_000, '/s', side.batches.perSecond),
      note: `2 producers; ${cpuOf(side.batches.costs, 'event')}`,
    },
    databaseLine(side.batches.costs, 'an event'),
    {
      what: `ingest, 200 requests at once, ${queue}`,
      figure: `${whole(side.singles.perSecond)} events/s`,
      thread: side.singles.costs.thread,
      note: `one event a request; ${cpuOf(side.singles.costs, 'event')}`,
    },
    databaseLine(side.singles.costs, 'an event'),
  ]
}

export function largeRoomLines(queue: string, { servers, firstContact, connected, raw }: LargeRoom): Line[] {
  const [ours, limit] = [medianOf(connected), medianOf(raw)]
  const all = (bursts: readonly { seconds: number }[]) =>
    bursts.map(({ seconds }) => seconds.toFixed(2)).join(', ')
  return [
    ...(limit === undefined
      ? []
      : [
          {
            what: `${whole(servers)} servers, connected, raw loop`,
            figure: `${limit.seconds.toFixed(2)} s`,
            ofRaw: 1,
            ...shares(limit.window),
            note: `median of ${all(raw)}; ${cpuOf(limit.window)}`,
          },
        ]),
    {
      what: `${whole(servers)} servers, first contact, ${queue}`,
      figure: `${firstContact.seconds.toFixed(1)} s`,
      ...shares(firstContact.window),
      note: `with the TLS handshakes of both sides; ${cpuOf(firstContact.window)}`,
    },
    databaseLine(firstContact.window),
    ...(ours === undefined
      ? []
      : [
          {
            what: `${whole(servers)} servers, connected, ${queue}`,
            figure: `${ours.seconds.toFixed(2)} s`,
            ...(limit === undefined ? {} : { ofRaw: limit.seconds / ours.seconds }),
            ...shares(ours.window),
            note: `200 to the last delivery, median of ${all(connected)}; ${cpuOf(ours.window)}`,
          },
          databaseLine(ours.window),
        ]),
  ]
}

export function catchUpLines(queue: string, caught: CatchUp): Line[] {
  const { events, rooms, seconds, transactions, pdus, sticky, stickyWithin, window, idleStatements } = caught
  const least = Math.ceil(sticky / 50)
  return [
    {
      what: `catch-up, ${whole(events)} events in ${whole(rooms)} rooms, ${queue}`,
      figure: `${whole(transactions)} txns`,
      aim: atMost(75, '', transactions),
      ...shares(window),
      note: `${whole(pdus)} PDUs; ${cpuOf(window)}`,
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
      figure: window.database === null ? '?' : whole(window.database.statements * transactions),
      note: `${whole(idleStatements)} a second when nothing happens`,
    },
    databaseLine(window),
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
      ...shares(window),
      note: cpuOf(window),
    },
    databaseLine(window),
    {
      what: '  without traffic, CPU a second',
      figure: `${cpu.join(' + ')} ms`,
      note: `limpet + postgres, with a sweep; resident with traffic ${megabytes(resident?.now)}`,
    },
  ]
}

export function backlogLines(queue: string, backlog: Backlog): Line[] {
  const {
    events,
    memberships,
    destinations,
    answering,
    caughtUp,
    seconds,
    answered,
    failed,
    window,
    resident,
  } = backlog
  const peak = resident?.peak
  return [
    {
      what: `resident, backlog of ${whole(events)}, ${queue}`,
      figure: megabytes(peak),
      ...(peak === undefined ? {} : { aim: atMost(300, ' MB', peak) }),
      note: `${whole(destinations)} destinations, ${whole(memberships)} memberships; at the end ${megabytes(resident?.now)}`,
    },
    {
      what: `  ${whole(caughtUp)} of the ${whole(answering)} that answer caught up`,
      figure: `${seconds.toFixed(1)} s`,
      aim: { text: 'all in 60 s', met: () => caughtUp === answering },
      ...shares(window),
      note: `in a minute ${whole(answered)} transactions, and ${whole(failed)} tries that failed; ${cpuOf(window)}`,
    },
    databaseLine(window),
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

const DEATHS: Record<Death, string> = { refuse: 'refusing', hang: 'not answering a dial' }

export function deadLines(queue: string, { healthy, dead, rounds, owedNothing, connections }: Dead): Line[] {
  const linesOf = (death: Death) => {
    const ratioOf = (round: Round) => round.with.median / round.without.median
    const ratio = median(rounds[death].map(ratioOf))
    const middle = middleOf(rounds[death], ratioOf)
    if (middle === undefined) return []
    const { without, with: beside, window, dialled, seconds } = middle
    const ms = (figure: number) => figure.toFixed(1)
    return [
      {
        what: `${healthy} beside ${whole(dead)} dead, ${DEATHS[death]}, ${queue}`,
        figure: `${ratio.toFixed(2)} x`,
        ...(death === 'refuse' ? { aim: { text: '<= 1.3 x', met: () => ratio <= 1.3 } } : {}),
        ...shares(window),
        note: `200 to received, median: ${ms(beside.median)} ms, without the dead ${ms(without.median)}; p99 ${ms(beside.p99)} and ${ms(without.p99)}`,
      },
      {
        what: '  of them dialled in the round',
        figure: whole(dialled),
        note: `in ${seconds.toFixed(1)} s; rounds: ${rounds[death].map((round) => `${ratioOf(round).toFixed(2)} x`).join(', ')}`,
      },
      databaseLine(window, 'a transaction to the healthy'),
    ]
  }
  return [
    ...linesOf('refuse'),
    ...linesOf('hang'),
    {
      what: `${whole(owedNothing)} dead, due, owed nothing, ${queue}`,
      figure: `${whole(connections)} connections`,
      aim: atMost(0, '', connections),
      note: '',
    },
  ]
}
