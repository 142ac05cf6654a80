/**
 * What a DNS server's answer says to one question. Pure; any bytes give a value, none throws.
 *
 * Only what answers this very question counts: its id, its question, then the records of that name, or of the name to which its CNAMEs
 * lead one after the other. Records of other names, wherever they stand, are not looked at and never remembered: not those beside
 * the answer (additional), and not those of a name that nothing leads to. RFC 5452; RFC 2181, 5.4.1.
 */
import packet from 'dns-packet'
import type { Answer, SoaAnswer } from 'dns-packet'
import { isIPv4, isIPv6 } from 'node:net'
import { dnsNameOf } from './dns-name.ts'
import type { DnsData, DnsTrouble, DnsType } from './outcome.ts'
import { HEADER_BYTES } from './query-packet.ts'
import type { DnsQuery, QueryPacket } from './query-packet.ts'

export type DnsReading<Data> =
  | {
      readonly kind: 'records'
      readonly records: readonly Data[]
      readonly ttlS: number
      readonly cname: string | null
    }
  /** `ttlS` null: it does not say for how long. */
  | {
      readonly kind: 'nothing'
      readonly why: 'NXDOMAIN' | 'NODATA'
      readonly ttlS: number | null
      readonly cname: string | null
    }
  /** CNAMEs lead to a name of which the answer says nothing. */
  | { readonly kind: 'onward'; readonly cname: string; readonly ttlS: number }
  | { readonly kind: 'refusal'; readonly code: DnsTrouble; readonly rcode: number; readonly why: string }
  /** It does not fit into a packet: ask over TCP. */
  | { readonly kind: 'truncated' }
  /** Not an answer to this question. `near`: with another id, as somebody sends who guesses. */
  | { readonly kind: 'stray'; readonly near: boolean }

export const RCODE_FORMERR = 1
const RCODE_NXDOMAIN = 3
const RCODES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED']
const CLASS_BYTES = 4
const LONGEST_CHAIN = 16
/** In all sections together; what more there is costs time and is of no use. */
const MOST_RECORDS = 256
/** Of one answer, that are kept. */
const MOST_KEPT = 32

export function readDnsAnswer<Type extends DnsType>(
  bytes: Buffer,
  sent: QueryPacket,
  query: DnsQuery<Type>,
): DnsReading<DnsData[Type]> {
  if (bytes.length < HEADER_BYTES || (bytes.readUInt16BE(2) & 0xf800) !== 0x8000) return stray(false)
  if (bytes.readUInt16BE(0) !== sent.id) return stray(true)
  const rcode = bytes.readUInt16BE(2) & 0xf
  const questions = bytes.readUInt16BE(4)
  // A server that could not even read the question may leave it out.
  const error = rcode !== 0 && rcode !== RCODE_NXDOMAIN
  if (!(questions === 1 ? sameQuestion(bytes, sent) : questions === 0 && error)) return stray(false)
  if (error) return refusal(rcode)
  if ((bytes.readUInt16BE(2) & packet.TRUNCATED_RESPONSE) !== 0) return { kind: 'truncated' }
  const sections = sectionsOf(bytes)
  if (sections === null) return malformed('could not be read')
  return follow(sections, query, rcode === RCODE_NXDOMAIN)
}

const stray = (near: boolean): { kind: 'stray'; near: boolean } => ({ kind: 'stray', near })

function sameQuestion(bytes: Buffer, { question }: QueryPacket): boolean {
  const theirs = bytes.subarray(HEADER_BYTES, HEADER_BYTES + question.length)
  const nameEnds = question.length - CLASS_BYTES
  return (
    theirs.length === question.length &&
    theirs.subarray(nameEnds).equals(question.subarray(nameEnds)) &&
    // Some change the case of letters, which means the same. A length byte is at most 63, no letter.
    theirs.toString('latin1', 0, nameEnds).toLowerCase() === question.toString('latin1', 0, nameEnds)
  )
}

function refusal(rcode: number): DnsReading<never> {
  const name = RCODES[rcode] ?? `code ${rcode}`
  const code = name === 'SERVFAIL' || name === 'REFUSED' ? name : 'MALFORMED'
  return { kind: 'refusal', code, rcode, why: `answered ${name}` }
}

const malformed = (how: string): DnsReading<never> => ({
  ...{ kind: 'refusal', code: 'MALFORMED', rcode: 0 },
  why: `sent an answer that ${how}`,
})

interface Sections {
  readonly answers: readonly Answer[]
  readonly authorities: readonly Answer[]
}

function sectionsOf(bytes: Buffer): Sections | null {
  if (bytes.readUInt16BE(6) + bytes.readUInt16BE(8) + bytes.readUInt16BE(10) > MOST_RECORDS) return null
  try {
    const { answers = [], authorities = [] } = packet.decode(bytes)
    return { answers, authorities }
  } catch {
    return null
  }
}

/** From the name asked, along the CNAMEs, to records or to their absence. */
function follow<Type extends DnsType>(
  { answers, authorities }: Sections,
  query: DnsQuery<Type>,
  nxdomain: boolean,
): DnsReading<DnsData[Type]> {
  let name = query.name
  let ttlS = Infinity
  let cname: string | null = null
  for (let links = 0; links <= LONGEST_CHAIN; links++) {
    const own = answers.filter(
      (record) => 'data' in record && lower(record.name) === name && ofInternet(record),
    )
    const records = own.filter(({ type }) => type === query.type)
    if (records.length > 0 && !nxdomain) {
      const kept = records.slice(0, MOST_KEPT).flatMap((record) => dataOf(record, query.type) ?? [])
      if (kept.length === 0) return malformed(`has no usable ${query.type} record`)
      return { kind: 'records', records: kept, ttlS: Math.min(ttlS, ...records.map(ttlOf)), cname }
    }
    const link = own.find(({ type }) => type === 'CNAME')
    if (link === undefined) return nothing(authorities, { name, ttlS, cname, nxdomain })
    const next = 'data' in link && typeof link.data === 'string' ? dnsNameOf(link.data) : null
    if (next === null) return malformed('has a CNAME that leads to no name')
    ttlS = Math.min(ttlS, ttlOf(link))
    cname = name = next
  }
  return malformed('has CNAMEs that go in a circle')
}

function nothing(
  authorities: readonly Answer[],
  { name, ttlS, cname, nxdomain }: { name: string; ttlS: number; cname: string | null; nxdomain: boolean },
): DnsReading<never> {
  // RFC 2308, 5: the smaller of the SOA's own time and its minimum. It has to be of a zone that the name is in.
  const soa = authorities.find(
    (record): record is SoaAnswer => record.type === 'SOA' && within(name, lower(record.name)),
  )
  if (!nxdomain && soa === undefined) {
    if (cname !== null) return { kind: 'onward', cname, ttlS }
    // It tells us whom to ask: it does not look up for others (RFC 2308, 2.2).
    if (authorities.some(({ type }) => type === 'NS')) return malformed('refers to another server')
  }
  const own = soa === undefined ? null : Math.min(ttlOf(soa), seconds(soa.data.minimum))
  const time = own === null && ttlS === Infinity ? null : Math.min(own ?? Infinity, ttlS)
  return { kind: 'nothing', why: nxdomain ? 'NXDOMAIN' : 'NODATA', ttlS: time, cname }
}

const lower = (name: string): string => name.toLowerCase()
const within = (name: string, zone: string): boolean =>
  zone === '.' || name === zone || name.endsWith(`.${zone}`)
const ofInternet = (record: Answer): boolean => 'class' in record && record.class === 'IN'
const ttlOf = (record: Answer): number => ('ttl' in record ? seconds(record.ttl) : 0)

/** RFC 2181, 8: with the highest bit set it counts as zero. */
const seconds = (ttl: unknown): number => (typeof ttl === 'number' && ttl >= 0 && ttl < 2 ** 31 ? ttl : 0)

function dataOf<Type extends DnsType>(record: Answer, type: Type): DnsData[Type] | null {
  const data: unknown = 'data' in record ? record.data : null
  const read: { [T in DnsType]: (data: unknown) => DnsData[T] | null } = {
    A: (text) => (typeof text === 'string' && isIPv4(text) ? { address: text, family: 4 } : null),
    AAAA: (text) => (typeof text === 'string' && isIPv6(text) ? { address: text, family: 6 } : null),
    SRV: srvOf,
  }
  return read[type](data)
}

function srvOf(data: unknown): DnsData['SRV'] | null {
  const { priority, weight, port, target } = data as Record<
    'priority' | 'weight' | 'port' | 'target',
    unknown
  >
  if (typeof priority !== 'number' || typeof weight !== 'number' || typeof port !== 'number') return null
  if (typeof target !== 'string') return null
  // An address is not a name (RFC 2782): one that is written here is meant, and what may be connected to is decided elsewhere.
  const name = target === '.' || isIPv4(target) ? target : dnsNameOf(target)
  return name === null ? null : { priority, weight, port, target: name }
}
