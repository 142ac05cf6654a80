/** What the table says of EDUs. */
import { median } from './compare-verdict.ts'
import type { EduWal } from './edu-wal.ts'
import type { EdusAway } from './edus-away.ts'
import {
  atMost,
  cpuOf,
  databaseLine,
  few,
  megabytes,
  residentNote,
  shares,
  whole,
  type Line,
} from './line.ts'
import type { Mixed } from './mixed.ts'
import type { PresenceTraffic } from './presence.ts'
import { overReceivers, type Window } from './window.ts'

const mostly = (windows: readonly Window[], figure: (window: Window) => number | null) =>
  median(windows.map((window) => figure(window) ?? NaN))

export function mixedLines(queue: string, { pairs }: Mixed): Line[] {
  const overAlone = (figure: (window: Window) => number | null) =>
    median(pairs.map(({ alone, mixed }) => (figure(mixed) ?? NaN) / (figure(alone) ?? NaN)))
  const ratio = overAlone((window) => overReceivers(window))
  const rows = (what: string, windows: readonly Window[]): Line[] => {
    const perSecond = mostly(windows, ({ transactionsPerSecond }) => transactionsPerSecond)
    // Of the last window: the costs of one.
    const last = windows.at(-1)
    if (last === undefined) return []
    return [
      {
        what: `${what}, ${queue}`,
        figure: `${whole(perSecond)} txn/s`,
        perSecond,
        overReceivers: mostly(windows, (window) => overReceivers(window)),
        thread: last.thread,
        note: cpuOf(last),
      },
      databaseLine(last),
    ]
  }
  const mixed = pairs.map((pair) => pair.mixed)
  const of = (figure: (window: Window) => number) => few(mostly(mixed, figure))
  return [
    ...rows(
      'events alone',
      pairs.map((pair) => pair.alone),
    ),
    ...rows('receipts and typing beside events', mixed),
    {
      what: '  a transaction holds',
      figure: `${of(({ edusPerTransaction }) => edusPerTransaction)} EDUs`,
      note: `of ${of(({ partsPerTransaction }) => partsPerTransaction)} parts, and ${of(({ pdusPerTransaction }) => pdusPerTransaction)} PDUs`,
    },
    {
      what: '  CPU/RECV over that of events alone',
      figure: `${few(ratio)} x`,
      aim: { text: '<= 1.3 x', met: () => ratio <= 1.3 },
      note: `of pairs: ${pairs.map((pair) => few((overReceivers(pair.mixed) ?? NaN) / (overReceivers(pair.alone) ?? NaN))).join(', ')}; CPU of limpet a transaction ${few(overAlone(({ cpuUs }) => cpuUs['limpet'] ?? null))} x, of the receivers ${few(overAlone(({ cpuUs }) => cpuUs['receivers'] ?? null))} x`,
    },
  ]
}

export function presenceLines(queue: string, presence: PresenceTraffic): Line[] {
  const { users, servers, changesPerSecond, seconds, transactions, edus, updates, costs, seen } = presence
  const aSecond = (name: string) => {
    const ms = costs.cpuMs[name]
    return ms == null ? '?' : `${few(ms / seconds)} ms`
  }
  const right = seen.behind === 0 && seen.backwards === 0
  return [
    {
      what: `presence, ${whole(changesPerSecond)} changes/s of ${whole(users)}, ${whole(servers)} servers, ${queue}`,
      figure: `${few(transactions)} txns`,
      aim: { text: '<= 1.2 in 10 s', met: () => transactions <= 1.2 },
      thread: costs.thread,
      note: `each server, in 10 s: ${few(edus)} EDUs with ${whole(updates)} updates, of ${whole(changesPerSecond * 10)} changes; for ${seconds.toFixed(0)} s`,
    },
    {
      what: '  CPU a second',
      figure: aSecond('limpet'),
      note: `postgres ${aSecond('postgres')}, receivers ${aSecond('receivers')}`,
    },
    {
      what: '  a second',
      figure: costs.database === null ? '?' : `${whole(costs.database.statements / seconds)} statements`,
      note:
        costs.database === null
          ? ''
          : `${whole(costs.database.blocks / seconds)} blocks, ${whole(costs.database.walBytes / seconds)} B of WAL`,
    },
    {
      what: '  resident, at most',
      figure: megabytes(presence.resident?.peak),
      note: `${megabytes(presence.residentBefore?.now)} before, ${residentNote(presence.resident)}`,
    },
    {
      what: '  last states that are not known',
      figure: whole(seen.behind),
      aim: { text: '0, none older after newer', met: () => right },
      note: right
        ? `all known ${presence.settledAfter.toFixed(1)} s after the last change`
        : `${whole(seen.backwards)} came after newer ones; ${seen.examples.join('; ')}`,
    },
  ]
}

/** An EDU's own size is not the room's. */
const FLAT = 1.1

export function eduWalLines(queue: string, measured: readonly EduWal[]): Line[] {
  const kinds = [...new Set(measured.map(({ kind }) => kind))]
  return kinds.flatMap((kind) => {
    const ofKind = measured.filter((one) => one.kind === kind)
    const bytes = ofKind.map(({ walBytes }) => walBytes)
    const [most, growth] = [Math.max(...bytes), Math.max(...bytes) / Math.min(...bytes)]
    // A message is as long as it is, and is for one server: the size of a room is nothing to it.
    const isMessage = ofKind.some(({ contentBytes }) => contentBytes > 600)
    const met = most <= 600 && growth <= FLAT
    const beside = Math.max(...ofKind.map(({ walBytes, contentBytes }) => walBytes - contentBytes))
    return [
      {
        what: `WAL, ${kind}, batches of 50, ${queue}`,
        figure: `${whole(most)} B/EDU`,
        ...(isMessage ? {} : { aim: { text: '<= 600 B, flat', met: () => met } }),
        note: `${ofKind.map(({ servers, walBytes }) => `${whole(servers)} servers: ${whole(walBytes)}`).join(', ')}; content ${whole(median(ofKind.map(({ contentBytes }) => contentBytes)))} B, at most ${whole(beside)} beside it`,
      },
    ]
  })
}

export function edusAwayLines(queue: string, away: EdusAway): Line[] {
  const { ephemeral, messages, transactions, bytes, sticky, window, inOrder, others } = away
  const least = Math.ceil(messages / 100)
  return [
    {
      what: `a day away, ${whole(messages)} to-device of ${whole(ephemeral + messages)} EDUs, ${queue}`,
      figure: `${whole(transactions)} txns`,
      aim: atMost(least + 1, '', transactions),
      ...shares(window),
      note: `${whole(bytes)} B; ${cpuOf(window)}`,
    },
    {
      what: '  messages in order, within',
      figure: `${whole(away.messagesWithin)} txns`,
      aim: {
        text: `all ${whole(messages)}, nothing else`,
        met: () => inOrder === messages && others === 0 && away.messagesWithin <= least,
      },
      note: `${whole(inOrder)} in order, ${whole(others)} other EDUs; ${sticky} sticky events within ${away.stickyWithin}`,
    },
    {
      what: '  time',
      figure: `${away.seconds.toFixed(2)} s`,
      note: `ingest took ${away.givenIn.toFixed(1)} s`,
    },
    databaseLine(window),
    {
      what: '  resident, at most',
      figure: megabytes(away.resident?.peak),
      note: `${megabytes(away.residentBefore?.now)} before, ${residentNote(away.resident)}`,
    },
  ]
}
