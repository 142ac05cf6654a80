/**
 * One question to one DNS server: over UDP first, over TCP if the answer does not fit or somebody seems to guess, without EDNS where the
 * server does not know it. What comes of it is a value.
 */
import type { Clock } from '../../pace/clock.ts'
import { exchangeOverTcp, exchangeOverUdp } from './exchange.ts'
import type { Exchanged } from './exchange.ts'
import type { DnsData, DnsTrouble, DnsType } from './outcome.ts'
import { makeQueryPacket } from './query-packet.ts'
import type { DnsQuery } from './query-packet.ts'
import { RCODE_FORMERR, readDnsAnswer } from './read-answer.ts'
import type { DnsReading } from './read-answer.ts'

export type DnsAnswered<Data> = Extract<DnsReading<Data>, { kind: 'records' | 'nothing' | 'onward' }>

export type ServerTold<Data> =
  | DnsAnswered<Data>
  /** `heard`: it is there, and says the same if it is asked again. */
  | { readonly kind: 'trouble'; readonly code: DnsTrouble; readonly why: string; readonly heard: boolean }
  | { readonly kind: 'aborted' }

export interface AskServerNeeds {
  readonly clock: Clock
  readonly randomBytes: (size: number) => Uint8Array
  /** A packet goes out. */
  readonly sent: () => void
}

export interface AskServerHow {
  readonly server: { readonly address: string; readonly port: number }
  readonly edns: boolean
  /** Over UDP and TCP together. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/** Answers with a wrong id from the server's own address before we stop to believe the next one. */
const NEAR_MISSES = 4

// Of this process, not of the server or the network.
const OURS = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EACCES', 'EPERM', 'EADDRINUSE', 'EAGAIN'])

export async function askServer<Type extends DnsType>(
  needs: AskServerNeeds,
  query: DnsQuery<Type>,
  how: AskServerHow,
): Promise<ServerTold<DnsData[Type]>> {
  const { clock } = needs
  const started = clock.monotonic()
  const left = (): number => how.timeoutMs - (clock.monotonic() - started)

  function exchange(transport: 'udp' | 'tcp', edns: boolean): Promise<Exchanged<DnsReading<DnsData[Type]>>> {
    const packet = makeQueryPacket(query, { id: idOf(needs.randomBytes(2)), edns })
    let nearMisses = 0
    const read = (bytes: Buffer): DnsReading<DnsData[Type]> | null => {
      const reading = readDnsAnswer(bytes, packet, query)
      if (reading.kind !== 'stray') return reading
      nearMisses += reading.near ? 1 : 0
      return nearMisses < NEAR_MISSES ? null : { kind: 'truncated' }
    }
    needs.sent()
    const over = transport === 'udp' ? exchangeOverUdp : exchangeOverTcp
    const { server, signal } = how
    return over({ server, query: packet.bytes, read, timeoutMs: Math.max(1, left()), signal })
  }

  async function within(edns: boolean): Promise<ServerTold<DnsData[Type]>> {
    let exchanged = await exchange('udp', edns)
    if (isTruncated(exchanged)) exchanged = await exchange('tcp', edns)
    if (edns && refusesEdns(exchanged)) return within(false)
    return toldBy(exchanged)
  }

  return within(how.edns)
}

const idOf = ([high = 0, low = 0]: Uint8Array): number => high * 256 + low

const isTruncated = (exchanged: Exchanged<DnsReading<unknown>>): boolean =>
  exchanged.kind === 'answered' && exchanged.reading.kind === 'truncated'

/** RFC 6891, 7: a server of before EDNS says FORMERR; some say NOTIMP. */
const refusesEdns = (exchanged: Exchanged<DnsReading<unknown>>): boolean =>
  exchanged.kind === 'answered' &&
  exchanged.reading.kind === 'refusal' &&
  (exchanged.reading.rcode === RCODE_FORMERR || exchanged.reading.rcode === RCODE_NOTIMP)

const RCODE_NOTIMP = 4

function toldBy<Data>(exchanged: Exchanged<DnsReading<Data>>): ServerTold<Data> {
  if (exchanged.kind === 'aborted') return exchanged
  if (exchanged.kind === 'silent') return trouble('TIMEOUT', 'did not answer in time', false)
  if (exchanged.kind === 'broken') return brokenBy(exchanged.error)
  const { reading } = exchanged
  if (reading.kind === 'refusal') return trouble(reading.code, reading.why, true)
  if (reading.kind === 'truncated' || reading.kind === 'stray') {
    return trouble('MALFORMED', 'sent a truncated answer over TCP', true)
  }
  return reading
}

function brokenBy(error: unknown): ServerTold<never> {
  const { code = '', message } = error as NodeJS.ErrnoException
  if (OURS.has(code)) return trouble('OURS', `could not be asked by this process (${code})`, false)
  return trouble('UNREACHABLE', `could not be reached (${code === '' ? message : code})`, false)
}

const trouble = (code: DnsTrouble, why: string, heard: boolean): ServerTold<never> => ({
  ...{ kind: 'trouble', code, why, heard },
})
