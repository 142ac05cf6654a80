/** `limpet discover NAME`: server discovery step by step, and where a connection would go. */
import type { CacheReport, DiscoveryReport } from '../../discovery/report.ts'
import { ageText, facts, wrap } from './table.ts'

type ShownStep = DiscoveryReport['steps'][number]
type ShownPlace = DiscoveryReport['places'][number]
type ShownEnd = DiscoveryReport['connects_to'][number]

export function showDiscovery(report: DiscoveryReport): string {
  const { connects_to: ends, blocked, step } = report
  const title =
    blocked === null ? 'connections go to, in this order' : 'connections would go to, in this order'
  return [
    ...verdicts(report).map((line) => wrap(line, 2)),
    ...(step === null ? [] : ['', factsOf(report)]),
    ...section('steps of the specification', report.steps.flatMap(stepLines)),
    ...section('addresses', report.places.flatMap(placeLines)),
    // One place is named above.
    ...(ends.length < 2
      ? []
      : section(
          title,
          ends.map((end) => line(1, endText(end))),
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

const factsOf = (report: DiscoveryReport) =>
  facts([
    ['Host header', report.host_header],
    ['name in the certificate', report.certificate_name],
    ['found by step', report.step],
  ])

const section = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : ['', `${title}:`, ...lines]

/** A line of a section; where it is too long, the next ones stand four farther in. */
const line = (depth: number, text: string) => wrap(`${'  '.repeat(depth)}${text}`, 2 * depth + 4)

function stepLines({ step, asked, outcome, ms, cache }: ShownStep): string[] {
  const number = step.padEnd(3)
  if (asked === null) return [line(1, `${number}  ${outcome}`)]
  return [
    line(1, `${number}  ${asked}`),
    line(3, ` ${outcome}`),
    ...whenLines(ms, cache).map((it) => line(3, ` ${it}`)),
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
}: ShownPlace): string[] {
  const lines = [
    ...(cname === null ? [] : [`the name is an alias (CNAME) of ${cname}`]),
    ...(proxy === null ? [] : [`through the proxy ${proxy}, which looks names up`]),
    ...(addresses.length === 0 || addresses.includes(host) ? [] : [addresses.join(', ')]),
    // What a list forbids is said address by address.
    ...(refused.length > 0 ? refused.map((why) => `refused: ${why}`) : []),
    ...(error !== null && refused.length === 0 ? [error] : []),
    ...whenLines(ms, cache),
  ]
  return [line(1, `${host}, port ${port}`), ...lines.map((text) => line(2, text))]
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
