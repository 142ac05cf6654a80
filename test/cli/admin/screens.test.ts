/**
 * Every table at 80, 100 and 160 columns, with 200 destinations, ids of 255 characters and IPv6 names: no line is broken by
 * the terminal but a single id that is longer than it, and everything that another command takes is there as a whole.
 */
import { expect } from 'chai'
import type {
  DestinationAnswer,
  EventAnswer,
  PreviewAnswer,
  QuarantineAnswer,
  StatusAnswer,
  StickyAnswer,
} from '../../../src/cli/admin/answers.ts'
import { showDestination } from '../../../src/cli/admin/destination.ts'
import { showDestinations } from '../../../src/cli/admin/destinations.ts'
import { showDiscovery } from '../../../src/cli/admin/discover.ts'
import { showExplain } from '../../../src/cli/admin/explain.ts'
import { lengthOf } from '../../../src/cli/admin/letters.ts'
import { showPreview } from '../../../src/cli/admin/preview.ts'
import { showQuarantine } from '../../../src/cli/admin/quarantine.ts'
import { showSource } from '../../../src/cli/admin/source.ts'
import { showStatus } from '../../../src/cli/admin/status.ts'
import { showSticky } from '../../../src/cli/admin/sticky.ts'
import { plainScreen, type Screen } from '../../../src/cli/screen.ts'
import type { DiscoveryReport } from '../../../src/discovery/report.ts'

const NOW = 1_700_000_000_000
const HOUR = 3_600_000
const COUNT = 200
/** `start`, made as long as `length` by what ids consist of. */
const padded = (start: string, length: number) => start + 'abcdefghij'.repeat(30).slice(start.length, length)

const names = Array.from({ length: COUNT }, (_, nth) => {
  if (nth % 10 === 3) return `[2001:db8:85a3:8d3:1319:8a2e:370:${(4096 + nth).toString(16)}]:8448`
  if (nth % 20 === 7) return `${padded(`h${nth}.`, 242)}.example:8448`
  if (nth % 20 === 9) return `[::${nth.toString(16)}]`
  return `${['matrix', 'chat', 'synapse.internal', 'm'][nth % 4] ?? ''}.host-${nth}.example.org`
})
const rooms = names.map((_, nth) => (nth % 9 === 5 ? padded(`!${nth}:`, 255) : padded(`!${nth}`, 44)))
const events = names.map((_, nth) => (nth % 9 === 4 ? padded(`$${nth}:`, 255) : padded(`$${nth}`, 44)))
const senders = names.map((_, nth) =>
  nth % 50 === 6 ? padded(`@${nth}:`, 255) : `@user-${nth}:host.example`,
)
const BLOB = 'QUJD'.repeat(100)
const why = (nth: number) =>
  `the server answered 日本語 ${nth % 3 === 0 ? BLOB : 'with a page of its own'} and no JSON`

const STATES = ['backing_off', 'catching_up', 'sending', 'idle', 'dead', 'refused', 'paused', 'blocked']
const destinations = names.map((destination, nth): DestinationAnswer => ({
  ...{ destination, state: STATES[nth % 8] ?? '', reason: why(nth), position: 1_234_567, head: 9_876_543 },
  ...{ pending_pdus: nth * 61, pending_sticky: nth, pending_edus: 20, pending_edus_capped: true },
  ...{ oldest_pending_ms: nth * HOUR, quarantined: 12, failing_since: NOW - nth * 24 * HOUR },
  in_flight: { txn_id: padded('t', 22), since: NOW - 5000, attempt: 3, process: 'worker-1' },
  open_transaction: { txn_id: padded('t', 22), created_at: NOW - HOUR, attempt: 3, pdus: 1, edus: 1 },
  gap: { from: 1_000_000, to: 2_000_000, rooms_left: 345 },
  ...{ last_attempt: NOW - HOUR, next_attempt: NOW + HOUR, retry_interval_ms: 8 * HOUR },
  last_error: { kind: 'tls', status: 502, message: why(nth), at: NOW - HOUR },
  last_success: nth % 3 === 0 ? null : NOW - 300 * 24 * HOUR,
}))
const sticky: StickyAnswer = {
  sticky: events.map((event_id, nth) => ({
    ...{ event_id, room_id: rooms[nth] ?? '', sender: senders[nth] ?? '', expires_at: NOW + nth * 1000 },
    ...{ owed_to: names.slice(nth, nth + (nth % 7)), delivered: 12_345 },
  })),
  total: COUNT,
}
const quarantine: QuarantineAnswer = {
  quarantine: events.map((event_id, nth) => ({
    ...{ id: `pdu-${10_000_000 + nth}`, kind: 'pdu', event_id, room_id: rooms[nth] ?? null, edu_type: null },
    ...{ since: NOW - HOUR, tries: 3, next_try: NOW + HOUR, status: 403, message: why(nth) },
  })),
  total: COUNT,
}
const OUTCOMES = ['pending', 'delivered', 'not_entitled', 'set_aside', 'acknowledged']
const event: EventAnswer = {
  ...{ event_id: padded('$', 255), room_id: padded('!', 255), position: 12_345_678, received: NOW - HOUR },
  sticky_until: NOW + HOUR,
  destinations: names.map((destination, nth) => ({
    ...{ destination, outcome: OUTCOMES[nth % 5] ?? '', as: 'sticky_replay', txn_id: padded('t', 22) },
    ...{ at: NOW, why: nth % 2 === 0 ? why(nth) : null },
  })),
}
const longest = names[7] ?? ''
const preview: PreviewAnswer = {
  ...{ destination: longest, reason: why(0), next_attempt: NOW + HOUR, txn_id: padded('t', 22), attempts: 1 },
  ...{ catch_up_begins: false, what: 'ordinary', first: null, bytes: 1, body: '{}' },
  search: { pdus: 1, parts: 1, not_before: NOW + HOUR },
  edu_search: { most: 1, not_before: NOW + HOUR },
  set_aside: { total: COUNT, next: quarantine.quarantine.slice(0, 20) },
  pdus: events.map((event_id, nth) => {
    return { event_id, room_id: rooms[nth] ?? null, position: 1_000_000 + nth, as: 'sticky_replay' }
  }),
  edus: [{ edu_type: 'm.direct_to_device', position: 9_000_000 }],
}
const discovery = {
  ...{ destination: longest, host_header: longest, certificate_name: longest, step: '3.2', blocked: null },
  ...{ error: null },
  steps: [
    { step: '3', asked: `https://${longest}/.well-known/matrix/server`, outcome: why(0), ms: 5, cache: null },
  ],
  places: names.slice(0, 20).map((host) => ({
    ...{ host, port: 8448, addresses: ['2001:db8:85a3:8d3:1319:8a2e:370:7348', '192.0.2.1'], refused: [] },
    ...{ cname: longest, error: why(0), proxy: null, ms: 1, cache: null },
  })),
  connects_to: names.slice(0, 20).map((address) => ({ address, port: 8448, via_proxy: null })),
} as unknown as DiscoveryReport
const status: StatusAnswer = {
  ...{ server_name: longest, version: '1.2.3', position: 123_456_789, pending_pdus: 1_234_567 },
  destinations: Object.fromEntries(STATES.map((state) => [state, 12_345])),
  ...{ oldest_pending_ms: HOUR, sticky_pending: 12, sent_per_second: 1, as_of: NOW - 5000 },
  ...{ taken_per_second: 1, pending_change_per_second: -1234.5, empty_in_ms: HOUR },
  own_trouble: [{ process: 'worker-1', kind: 'no_answer', since: NOW - HOUR }],
  sources: [
    {
      ...{ name: 'synapse/limpet', state: 'running', position: 5, behind: 1, since: NOW },
      last_error: { message: why(0), at: NOW },
    },
  ],
}
const restored = { place: 12, head: 7, common: 5 }
const source = { ...status.sources![0]!, restored, continuing: false }

/** What each shows, and what must be there as a whole. */
const SCREENS: Record<string, { show: (screen: Screen) => string; ids: string[] }> = {
  destinations: {
    show: (screen) => showDestinations({ destinations, total: COUNT, as_of: NOW }, NOW, screen),
    ids: names,
  },
  destination: {
    show: (screen) =>
      showDestination(
        {
          destination: { ...destinations[7]!, state: 'backing_off' },
          rooms: {
            rooms: rooms.map((room_id, nth) => {
              return { room_id, pending_pdus: 9999, latest_position: 1_000_000 + nth, pending_sticky: 55 }
            }),
            total: COUNT,
          },
          sticky,
          transactions: {
            transactions: names.map((_, nth) => ({
              ...{
                txn_id: nth === 3 ? padded('T', 255) : padded(`t${nth}`, 22),
                at: NOW,
                duration_ms: 60_000,
              },
              ...{ pdus: 50, edus: 100, outcome: 'timed_out', status: 502, message: null },
            })),
            total: COUNT,
          },
        },
        NOW,
        screen,
      ),
    ids: [longest, ...rooms, ...events, padded('T', 255)],
  },
  sticky: {
    show: (screen) => showSticky(sticky, NOW, screen),
    ids: [...events, ...rooms, ...senders, ...sticky.sticky.flatMap(({ owed_to }) => owed_to.slice(0, 5))],
  },
  quarantine: {
    show: (screen) => showQuarantine(quarantine, NOW, screen),
    ids: [...events, ...rooms, ...quarantine.quarantine.map(({ id }) => id)],
  },
  explain: {
    show: (screen) => showExplain(event, NOW, screen, true),
    ids: [...names, padded('$', 255), padded('!', 255), padded('t', 22)],
  },
  preview: { show: (screen) => showPreview(preview, NOW, screen), ids: [...events, ...rooms, longest] },
  discover: { show: (screen) => showDiscovery(discovery, screen), ids: [longest, ...names.slice(0, 20)] },
  status: { show: (screen) => showStatus(status, NOW, screen), ids: [longest] },
  source: { show: (screen) => showSource(source, NOW, screen), ids: ['synapse/limpet'] },
}

describe('screens of 200 destinations, with ids of 255 characters and IPv6 names', () => {
  for (const [command, { show, ids }] of Object.entries(SCREENS)) {
    for (const width of [80, 100, 160]) {
      it(`limpet ${command} at ${width} columns: nothing wraps, no id is cut`, () => {
        const text = show(plainScreen(width))
        const whole = new Set(text.split(/[\s,()]+/))
        const cut = ids.filter((id) => !whole.has(id) && !text.includes(id))
        expect(cut).to.deep.equal([])
        const wide = text.split('\n').filter((line) => lengthOf(line) > width)
        const alone = wide.filter((line) => ids.some((id) => isAlone(line, id, width)))
        expect(wide, 'lines that the terminal breaks').to.deep.equal(alone)
      })
    }

    it(`limpet ${command} in a pipe: one line a row`, () => {
      const lines = show(plainScreen(Infinity)).split('\n')
      expect(lines.length).to.be.below(show(plainScreen(80)).split('\n').length + 1)
      for (const line of lines) expect(line).not.to.include('…')
    })
  }

  it('of a destination has each name with its own figures', () => {
    const lines = showDestinations({ destinations, total: COUNT, as_of: NOW }, NOW, plainScreen(80)).split(
      '\n',
    )
    for (const { destination, state, pending_pdus } of destinations) {
      const at = lines.findIndex((line) => line.split(' ')[0] === destination)
      const rest = lines[at] === destination ? lines[at + 1] : lines[at]
      expect(rest, destination).to.match(
        new RegExp(`(^| )${state} +${pending_pdus.toLocaleString('en-US')} `),
      )
    }
  })
})

/** With no more than what belongs to its word beside it. */
function isAlone(line: string, id: string, width: number): boolean {
  const rest = line.replace(id, '')
  return rest.length < line.length && /^["(]?(https:\/\/)?[^\s]*$/.test(rest) && id.length + 25 > width
}
