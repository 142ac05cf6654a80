/** What is sent to a DNS server: one question, and with EDNS how large an answer may be. */
import packet from 'dns-packet'
import type { DnsType } from './outcome.ts'

export interface DnsQuery<Type extends DnsType = DnsType> {
  /** As `dnsNameOf` gives it. */
  readonly name: string
  readonly type: Type
}

export interface QueryPacket {
  readonly bytes: Buffer
  readonly id: number
  /** The question as it is in `bytes`: the answer must repeat it. */
  readonly question: Buffer
}

export const HEADER_BYTES = 12
const AFTER_NAME_BYTES = 4
// What crosses every path in one piece (DNS flag day 2020).
const UDP_BYTES = 1232

export function makeQueryPacket(
  { name, type }: DnsQuery,
  { id, edns }: { id: number; edns: boolean },
): QueryPacket {
  const opt = {
    ...{ type: 'OPT' as const, name: '.', udpPayloadSize: UDP_BYTES },
    ...{ extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] },
  }
  const bytes = packet.encode({
    type: 'query',
    id,
    flags: packet.RECURSION_DESIRED,
    questions: [{ name, type }],
    additionals: edns ? [opt] : [],
  })
  // A length byte before each label, and a zero after the last.
  const questionBytes = name.length + 2 + AFTER_NAME_BYTES
  return { bytes, id, question: bytes.subarray(HEADER_BYTES, HEADER_BYTES + questionBytes) }
}
