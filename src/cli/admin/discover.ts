/** `limpet discover NAME`: server discovery step by step, and where a connection would go. */
import type { CacheReport, DiscoveryReport } from '../../discovery/report.ts'
import { ageText, facts, wrap } from './table.ts'

export function showDiscovery(report: DiscoveryReport): string {
  const { destination, connects_to: places, blocked, error } = report
  const first = places[0]
  const verdict =
    first === undefined
      ? `${destination} is not connected to: ${error ?? 'no address is left'}`
      : `${destination} is at ${placeText(first)}`
  return [
    ...(blocked === null ? [] : [wrap(`Nothing is sent to ${destination}: ${blocked}`, 2)]),
    wrap(verdict, 2),
    '',
    facts([
      ['Host header', report.host_header],
      ['certificate for', report.certificate_name],
      ['found by step', report.step],
    ]),
    ...section('steps of the specification:', report.steps.map(stepText)),
    ...section('addresses:', report.places.flatMap(placeLines)),
    ...section('connections go to, in this order:', places.map(placeText)),
  ].join('\n')
}

const section = (title: string, lines: readonly string[]): string[] =>
  lines.length === 0 ? [] : ['', title, ...lines.map((line) => wrap(`  ${line}`, 4))]

function stepText({ step, asked, outcome, ms, cache }: DiscoveryReport['steps'][number]): string {
  const said = asked === null ? outcome : `${asked}: ${outcome}`
  return `${step}  ${said}${asked === null ? '' : ` (${[`${ms} ms`, ...cacheTexts(cache)].join(', ')})`}`
}

function placeLines(place: DiscoveryReport['places'][number]): string[] {
  const { host, port, addresses, refused, cname, error, proxy, ms, cache } = place
  const found = addresses.length > 0 ? addresses.join(', ') : (error ?? 'none')
  const remarks = [
    ...(cname === null ? [] : [`a CNAME leads to ${cname}`]),
    ...(proxy === null ? [] : [`through the proxy ${proxy}, which looks the name up`]),
    ...(cache === null ? [] : [`${ms} ms`, ...cacheTexts(cache)]),
  ]
  const line = `${host}, port ${port}: ${found}${remarks.length === 0 ? '' : ` (${remarks.join(', ')})`}`
  return [line, ...(addresses.length === 0 ? [] : refused.map((why) => `not ${why}`))]
}

function placeText({ address, port, via_proxy: proxy }: DiscoveryReport['connects_to'][number]): string {
  const place = `${address}, port ${port}`
  return proxy === null ? place : `${place}, through the proxy ${proxy}`
}

const STATES: Readonly<Record<CacheReport['state'], string>> = {
  asked: 'asked just now',
  shared: 'another process asked',
  fresh: 'remembered',
  stale: 'remembered, past its time, being asked again',
}

function cacheTexts(cache: CacheReport | null): string[] {
  if (cache === null) return []
  const { state, age_ms: age, left_ms: left, failures } = cache
  const old = state === 'asked' ? '' : ` for ${ageText(age) ?? '0 s'}`
  return [
    `${STATES[state]}${old}`,
    ...(left > 0 ? [`good for ${ageText(left) ?? '0 s'}`] : []),
    ...(failures > 0 ? [`failed ${failures} times since`] : []),
  ]
}
