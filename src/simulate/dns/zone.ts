/**
 * What a DNS server of the simulator knows, as plain data: names with their records, and what it does where it does not answer.
 *
 * The zone is the whole world: what is not in it does not exist (NXDOMAIN), and a name that only has others below it has no records.
 * `*.example` stands for each name below `example` that is not there itself. A CNAME is followed within the zone, as a resolver would.
 */
import type { Answer } from 'dns-packet'

export interface ZoneSrv {
  readonly priority?: number
  readonly weight?: number
  readonly port: number
  readonly target: string
}

/** What happens instead of the answer. `truncated`: over UDP only; the answer comes over TCP. */
export type Instead =
  | 'silent'
  | 'servfail'
  | 'refused'
  | 'truncated'
  | 'nxdomain'
  | 'nodata'
  | 'referral'
  | { readonly slowMs: number }

export type ZoneType = 'A' | 'AAAA' | 'CNAME' | 'SRV'

export interface ZoneName {
  readonly a?: readonly string[]
  readonly aaaa?: readonly string[]
  readonly srv?: readonly ZoneSrv[]
  /** Where the name really leads; it has no other records then. */
  readonly cname?: string
  /** The answer ends with the CNAME; whoever asks has to ask on. */
  readonly cnameOnly?: boolean
  /** Seconds; default 300. */
  readonly ttl?: number
  /** How long it may be remembered that there is nothing (the SOA's minimum), seconds; default 60. Null: there is no SOA. */
  readonly negativeTtl?: number | null
  /** For each type, or for some. */
  readonly instead?: Instead | Partial<Readonly<Record<ZoneType, Instead>>>
}

/** By name, in lower case, without a dot at the end. */
export type ZoneData = Readonly<Record<string, ZoneName>>

export interface ZoneAnswer {
  readonly rcode: number
  readonly answers: readonly Answer[]
  readonly authorities: readonly Answer[]
  readonly instead: Instead | null
}

export interface DnsZone {
  set(name: string, data: ZoneName): void
  remove(name: string): void
  answer(name: string, type: string): ZoneAnswer
}

export const RCODE = { none: 0, formerr: 1, servfail: 2, nxdomain: 3, refused: 5 } as const

const TTL_S = 300
const NEGATIVE_TTL_S = 60
const LONGEST_CHAIN = 16

export function makeDnsZone(data: ZoneData): DnsZone {
  const names = new Map<string, ZoneName>()
  // How many names are below each.
  const below = new Map<string, number>()

  function count(name: string, by: number): void {
    for (const parent of parentsOf(name)) below.set(parent, (below.get(parent) ?? 0) + by)
  }

  function set(name: string, entry: ZoneName): void {
    const key = name.toLowerCase()
    if (!names.has(key)) count(key, 1)
    names.set(key, entry)
  }

  function remove(name: string): void {
    const key = name.toLowerCase()
    if (names.delete(key)) count(key, -1)
  }

  function find(name: string): ZoneName | undefined {
    const exact = names.get(name)
    if (exact !== undefined || (below.get(name) ?? 0) > 0) return exact ?? {}
    for (const parent of parentsOf(name)) {
      const wild = names.get(`*.${parent}`)
      if (wild !== undefined) return wild
      // RFC 4592, 3.3.1: the closest name that exists decides.
      if (names.has(parent) || (below.get(parent) ?? 0) > 0) return undefined
    }
    return undefined
  }

  function answer(asked: string, type: string): ZoneAnswer {
    const first = find(asked.toLowerCase())
    const instead = first === undefined ? null : insteadOf(first, type)
    const answers: Answer[] = []
    let owner = asked
    let entry = first
    for (let links = 0; entry?.cname !== undefined && type !== 'CNAME' && links < LONGEST_CHAIN; links++) {
      answers.push({ name: owner, type: 'CNAME', ttl: entry.ttl ?? TTL_S, data: entry.cname })
      if (entry.cnameOnly === true) return { rcode: RCODE.none, answers, authorities: [], instead }
      owner = entry.cname
      entry = find(owner.toLowerCase())
    }
    if (instead === 'referral') {
      return { rcode: RCODE.none, answers: [], authorities: [nameserver(asked)], instead }
    }
    const records =
      entry === undefined || instead === 'nodata' || instead === 'nxdomain'
        ? []
        : recordsOf(entry, owner, type)
    const missing = entry === undefined || instead === 'nxdomain'
    return {
      rcode: missing ? RCODE.nxdomain : RCODE.none,
      answers: [...answers, ...records],
      authorities: records.length > 0 ? [] : authorityOf(entry),
      instead,
    }
  }

  for (const [name, entry] of Object.entries(data)) set(name, entry)
  return { set, remove, answer }
}

function* parentsOf(name: string): Generator<string> {
  for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) yield name.slice(dot + 1)
}

function insteadOf({ instead }: ZoneName, type: string): Instead | null {
  if (instead === undefined || typeof instead === 'string' || 'slowMs' in instead) return instead ?? null
  return instead[type as ZoneType] ?? null
}

function recordsOf(entry: ZoneName, name: string, type: string): Answer[] {
  const ttl = entry.ttl ?? TTL_S
  if (type === 'A') return (entry.a ?? []).map((data) => ({ name, type, ttl, data }))
  if (type === 'AAAA') return (entry.aaaa ?? []).map((data) => ({ name, type, ttl, data }))
  if (type === 'SRV') return (entry.srv ?? []).map((data) => ({ name, type, ttl, data }))
  if (type === 'CNAME' && entry.cname !== undefined) return [{ name, type, ttl, data: entry.cname }]
  return []
}

function authorityOf(entry: ZoneName | undefined): Answer[] {
  const ttl = entry?.negativeTtl === undefined ? NEGATIVE_TTL_S : entry.negativeTtl
  if (ttl === null) return []
  const data = { mname: 'ns.invalid', rname: 'nobody.invalid', minimum: ttl }
  return [{ name: '.', type: 'SOA', ttl, data }]
}

function nameserver(asked: string): Answer {
  return { name: asked.slice(asked.indexOf('.') + 1), type: 'NS', ttl: TTL_S, data: 'ns.invalid' }
}
