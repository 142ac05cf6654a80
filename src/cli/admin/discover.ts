/** `limpet discover NAME`: server discovery step by step, and where a connection would go. */
import type { CacheReport, DiscoveryReport } from '../../discovery/report.ts'
import { ageText } from './ages.ts'
import type { Screen } from '../screen.ts'
import { facts, wrap } from './wrap.ts'

type ShownStep = DiscoveryReport['steps'][number]
type ShownPlace = DiscoveryReport['places'][number]
type ShownEnd = DiscoveryReport['connects_to'][number]

export function showDiscovery(report: DiscoveryReport, screen: Screen): string {
  const { connects_to: ends, blocked, step, places } = report
  const ids = [report.destination, ...namesOf(report)]
  /** A line of a section; where it is too long, the next ones stand four farther in. */
  const line = ({ depth, text }: ShownLine) =>
    wrap(`${'  '.repeat(depth)}${text}`, 2 * depth + 4, screen.width, ids)
  const title =
    blocked === null ? 'connections go to, in this order' : 'connections would go to, in this order'
  return [
    ...verdicts(report).map((text) => wrap(text, 2, screen.width, ids)),
    ...(step === null ? [] : ['', factsOf(report, screen, ids)]),
    ...section('steps of the specification', report.steps.flatMap(stepLines).map(line)),
    ...section('addresses', places.flatMap(placeLines).map(line)),
    // One place is named above.
    ...(ends.length < 2
      ? []
      : section(
          title,
          ends.map((end) => line({ depth: 1, text: endText(end) })),
        )),
  ].join('\n')
}

function verdicts({ destination, connects_to: [first], blocked, error, steps }: DiscoveryReport): string[] {
  const said = error ?? 'no address is left'
  const why = said.startsWith(`${destination}: `) ? said.slice(destination.length + 2) : said
  if (blocked === null)
    return [
      first === undefined
        ? `${destination} cannot be connected to: ${why}`
        : `${destination} is at ${endText(first)}`,
    ]
  const nothingSent = `nothing is sent to ${destination}, because ${blocked}`
  if (steps.length === 0) return [nothingSent, 'so nothing was asked of it']
  // A daemon of an older release asked all the same.
  return [
    nothingSent,
    first === undefined
      ? `it could not be connected to either: ${why}`
      : `if it were allowed, it would be at ${endText(first)}`,
  ]
}

/** What can be asked about in turn. */
const namesOf = ({ host_header, certificate_name, places }: DiscoveryReport): string[] =>
  [host_header, certificate_name, ...places.flatMap(({ host, cname }) => [host, cname])].filter(
    (name) => name !== null,
  )

const factsOf = (report: DiscoveryReport, screen: Screen, ids: readonly string[]) =>
  facts(
    [
      ['Host header', report.host_header],
      ['name in the certificate', report.certificate_name],
      ['found by step', report.step],
    ],
    screen,
    ids,
  )

const section = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : ['', `${title}:`, ...lines]

interface ShownLine {
  readonly depth: number
  readonly text: string
}
const item = (depth: number, text: string): ShownLine => ({ depth, text })

function stepLines({ step, asked, outcome, ms, cache }: ShownStep): ShownLine[] {
  const number = step.padEnd(3)
  if (asked === null) return [item(1, `${number}  ${outcome}`)]
  return [
    item(1, `${number}  ${asked}`),
    item(3, ` ${outcome}`),
    ...whenLines(ms, cache).map((it) => item(3, ` ${it}`)),
  ]
}

function placeLines({
  host,
  port,
  addresses,
  refused,
  cname,
  error,
  proxy,
  ms,
  cache,
}: ShownPlace): ShownLine[] {
  const lines = [
    ...(cname === null ? [] : [`the name is an alias (CNAME) of ${cname}`]),
    ...(proxy === null ? [] : [`through the proxy ${proxy}, which looks names up`]),
    ...(addresses.length === 0 || addresses.includes(host) ? [] : [addresses.join(', ')]),
    // What a list forbids is said address by address.
    ...(refused.length > 0 ? refused.map((why) => `refused: ${why}`) : []),
    ...(error !== null && refused.length === 0 ? [error] : []),
    ...whenLines(ms, cache),
  ]
  return [item(1, `${host}, port ${port}`), ...lines.map((text) => item(2, text))]
}

function endText({ address, port, via_proxy: proxy }: ShownEnd): string {
  const place = `${address}, port ${port}`
  return proxy === null ? place : `${place}, through the proxy ${proxy}`
}

/** When it was asked, and how long that holds. */
function whenLines(ms: number, cache: CacheReport | null): string[] {
  if (cache === null) return []
  const { state, age_ms: age, left_ms: left, failures } = cache
  const ago = `${ageText(age) ?? '0s'} ago`
  const asked = {
    asked: `asked just now, which took ${tookText(ms)}`,
    shared: `asked by another process ${ago}`,
    fresh: `remembered, asked ${ago}`,
    stale: `too old (asked ${ago}), being asked again`,
  }[state]
  const since = `${failures} ${failures === 1 ? 'lookup has' : 'lookups have'} failed since`
  return [
    [
      asked,
      ...(left > 0 ? [`good for ${ageText(left) ?? '0s'}`] : []),
      ...(failures > 0 ? [since] : []),
    ].join('; '),
  ]
}

const tookText = (ms: number) => (ms < 1_000 ? `${ms} ms` : `${(ms / 1_000).toFixed(1)} s`)
