/** What the server-server specification asks of a sender: T transactions, A authentication, P PDUs, E EDUs, D discovery, L TLS. */
import { by, ofEdus, type Row } from './row.ts'

const ONE_EVENT = by(
  'e2e/live',
  'brings one event to the one server in its room, signed and in one transaction',
)
const SIGNED = by(
  'wire/send',
  'is signed so that tweetnacl agrees, for this destination, and answered for each PDU',
)
const HEADER = by('matrix/x-matrix', 'writes a header that old servers read, and whose signature verifies')
const LIMITS = by('matrix/transaction', 'takes 50 PDUs and 100 EDUs and not one more')
const SAME_BYTES = by(
  'e2e/trouble',
  'whose answer was lost gets the same id and the same bytes, and what came meanwhile under a new id',
)
const ANSWERS = by('answers/cases', 'what becomes of each answer to a transaction')

const TO_WHOM = ofEdus(
  'go to the servers that are to have them, and to no others; what becomes of them is seen',
)

const TRANSACTIONS: readonly Row[] = [
  {
    id: 'T1',
    given: 'a transaction',
    seen: '`PUT /_matrix/federation/v1/send/{txnId}`',
    by: [...ONE_EVENT, ...SIGNED],
  },
  {
    id: 'T2',
    given: 'its body',
    seen: 'an object with `origin`, `origin_server_ts` and `pdus`, also where that is empty; `edus` where there are any',
    by: by('matrix/transaction', 'is canonical JSON, without EDUs where there are none'),
  },
  { id: 'T3', given: 'many PDUs', seen: 'at most 50 in one', by: LIMITS },
  { id: 'T4', given: 'many EDUs', seen: 'at most 100 in one', by: LIMITS },
  {
    id: 'T5',
    given: 'a transaction is unanswered',
    seen: 'no other id to that server until it is answered, or has ended as the contract says: after 24 hours, for one',
    by: [
      ...SAME_BYTES,
      ...by(
        'e2e/follow',
        'gets all in order, one id at a time, without another turn, and it is written down',
      ),
      ...by('e2e/trouble', 'gets an unanswered transaction under a new id after 24 hours'),
    ],
  },
  {
    id: 'T6',
    given: 'a transaction goes again',
    seen: 'with the same bytes',
    by: [
      ...SAME_BYTES,
      ...by('wire/send', 'repeats a transaction with a fresh signature and the same bytes'),
    ],
  },
  {
    id: 'T7',
    given: 'a 200 with errors for PDUs',
    seen: 'the transaction is done; the errors are kept',
    by: [
      ...ANSWERS,
      ...by('deliver/rules/outcome', 'with an error for one: it is listed, and the error is kept'),
    ],
  },
  { id: 'T8', given: 'an EDU', seen: '`edu_type` and `content`', by: TO_WHOM },
  {
    id: 'T9',
    given: 'texts of any script',
    seen: 'JSON in UTF-8, which the receiver reads as it was signed',
    by: by('wire/send', 'signs a body with signs of other scripts and an odd transaction id'),
  },
  {
    id: 'T10',
    given: 'failures, of which the specification says nothing',
    seen: 'backoff that grows; what a 429 asks to wait is honoured',
    by: [
      ...by('deliver/rules/backoff', 'doubles with each one, and keeps since when'),
      ...by(
        'e2e/trouble',
        'is left alone as long as its 429 asks for, by everybody but an operator who resets it',
      ),
    ],
  },
]

const AUTHENTICATION: readonly Row[] = [
  {
    id: 'A1',
    given: 'a request, with and without a body',
    seen: 'signed: method, URI, origin, destination, and the content where there is one',
    by: by('matrix/x-matrix', 'signs the canonical JSON of the request, with and without a body'),
  },
  {
    id: 'A2',
    given: 'a destination that delegates',
    seen: 'it is signed for by the server name, not by where it leads',
    by: by(
      'e2e/discovery',
      'are delivered to by .well-known, by SRV, and by address and port, each under its own Host header',
    ),
  },
  {
    id: 'A3',
    given: 'the Authorization header',
    seen: '`X-Matrix` with origin, destination, key and sig',
    by: HEADER,
  },
  {
    id: 'A4',
    given: 'its form',
    seen: 'one space, lower-case names, quoted values, no space at commas',
    by: HEADER,
  },
  { id: 'A5', given: 'the bytes that are sent', seen: 'are the JSON that was signed', by: SIGNED },
  {
    id: 'A6',
    given: 'the signature',
    seen: 'ed25519 over canonical JSON, in unpadded base64',
    by: by('matrix/signing', 'signs the bytes of the specification with its key'),
  },
  {
    id: 'A7',
    given: 'canonical JSON',
    seen: 'the specification’s examples; keys by code point; no odd numbers',
    by: by(
      'matrix/canonical-json',
      "gives the specification's example ${index + 1}: ${canonical.slice(0, 40)}",
      'orders keys by code point where UTF-16 orders them otherwise',
      'refuses ${number} otherwise, and says where it is',
    ),
  },
  { id: 'A8', given: 'the id of the key', seen: '`ed25519:` and its version', by: HEADER },
  {
    id: 'A9',
    given: 'a receiver that is not the destination',
    seen: 'it answers 401, which is a failure like others',
    by: [
      ...by(
        'simulate/fleet/fake-homeserver',
        'refuses a signature by another key, for another server, and over what is not canonical',
      ),
      ...ANSWERS,
    ],
  },
]

const PDUS: readonly Row[] = [
  {
    id: 'P-1',
    given: 'a PDU of more than 65,536 bytes of canonical JSON',
    seen: 'refused when it is ingested; one of that size is taken',
    by: by(
      'http/ingest/items',
      'are refused with 413 when the PDU has more than 65,536 bytes of canonical JSON, and taken at that',
    ),
  },
  {
    id: 'P-2',
    given: 'a PDU with numbers outside canonical JSON, of a room version that allows them',
    seen: 'sent as it was written, byte for byte',
    by: [
      ...by('ingest/odd-numbers', '${number} is kept as it is in room version ${version}'),
      ...by('matrix/transaction', 'holds the texts of its PDUs byte for byte'),
    ],
  },
  {
    id: 'P-3',
    given: '`unsigned` of a PDU',
    seen: 'sent as the homeserver gave it: it is neither hashed nor signed',
    by: by('http/ingest/items', 'keep what stands in unsigned'),
  },
  {
    id: 'P-4',
    given: 'a server joins through ours',
    seen: 'its join goes to the other servers of the room, and not back to it',
    by: by('interop/join', 'the join itself went to A by B’s limpet, on C’s behalf, and not back to C'),
  },
  {
    id: 'P-5',
    given: 'a room with a policy server, whose signature the homeserver has got',
    seen: 'carried with the PDU, whose text is not touched',
    by: by('matrix/transaction', 'holds the texts of its PDUs byte for byte'),
  },
  {
    id: 'P-6',
    given: 'the receiver’s ACL forbids a PDU and says so in its 200',
    seen: 'the error is kept, and the PDU is done',
    by: ANSWERS,
  },
]

const eduRow = (id: string, given: string, seen: string, more: Row['by'] = []): Row => ({
  ...{ id, given, seen, by: [...TO_WHOM, ...more] },
})
const EDU_KINDS: readonly Row[] = [
  eduRow('E1', 'typing', 'to the servers in the room'),
  eduRow('E2', 'presence', 'to servers that share a room with the user', [
    ...by('ingest/edu/parse-edu', 'of presence is cut into one for each user, for ten minutes'),
    ...ofEdus(
      'of presence of many users are 50 users in one, and each says how long ago it was active when it is sent',
    ),
  ]),
  eduRow('E3', 'receipts', 'one event id each, threads apart, none that is private', [
    ...by('ingest/edu/parse-edu', 'never lets a private receipt out'),
  ]),
  eduRow('E4', 'device list updates', 'a chain by `prev_id`, to every server that shares a room', [
    ...ofEdus('of device lists that change while a server is down are a chain when it is up'),
  ]),
  eduRow('E5', 'signing key updates', 'the user and the keys'),
  eduRow('E6', 'to-device messages', 'each with its message id, by which the receiver knows a repeat', [
    ...ofEdus('that wait are at most 100 a transaction beside at most 50 PDUs, and all arrive in order'),
  ]),
  eduRow('E7', 'other kinds', 'carried as they are'),
]

const DISCOVERY_TEST = by('discovery/cases', '${wanted.row}: ${wanted.about}')
const step = (id: string, given: string, seen: string, more: Row['by'] = []): Row => ({
  ...{ id, given, seen, by: [...DISCOVERY_TEST, ...more] },
})
const DISCOVERY: readonly Row[] = [
  step('D1', 'an IP address', 'that address, the given port or 8448, no SNI'),
  step('D2', 'a name with a port', 'its addresses and that port, and nothing else is asked'),
  step('D3', 'a name', '`.well-known` over HTTPS'),
  step('D3.1', 'delegated to an IP address', 'that address, the given port or 8448, no SNI'),
  step('D3.2', 'delegated to a name with a port', 'that name and port'),
  step('D3.3', 'delegated to a name with SRV records', 'their targets, under the delegated name'),
  step('D3.4', 'delegated to a name with SRV records of the old name only', 'the same'),
  step('D3.5', 'delegated to a name without SRV records', 'its addresses, port 8448'),
  step('D4', 'no delegation, SRV records', 'their targets, under the server name'),
  step('D5', 'no delegation, SRV records of the old name only', 'the same'),
  step('D6', 'neither', 'its addresses, port 8448'),
  step('D7', '`.well-known` redirects', 'followed, without going in circles'),
  step(
    'D8',
    'what was found, or not',
    'remembered: 24 h unless it says otherwise, 48 h at most; a failure 1 h at most',
    [...by('discovery/lifetime', 'errors: a minute, and twice as long each time, up to an hour')],
  ),
  step('D9', '`.well-known` is not what it should be', 'the next step, not a failure'),
  step('D10', 'an SRV target', 'looked up by its addresses'),
  step('D11', 'server names', 'by their grammar, as they are spelt', [
    ...by('matrix/ids', 'refuses a server name with ${what}', 'takes a server name of 230 characters'),
  ]),
  step('D12', 'several SRV records', 'by priority, then by weight', [
    ...by(
      'discovery/srv',
      'is by priority, whatever the weights',
      'puts each of one priority first as often as its weight says',
    ),
  ]),
]

const TLS: readonly Row[] = [
  {
    id: 'L1',
    given: 'a server that does not speak TLS',
    seen: 'nothing is said to it',
    by: by('wire/certificates', 'says so where the other side does not speak TLS'),
  },
  {
    id: 'L2',
    given: 'certificates',
    seen: 'of an authority that is trusted; others only for what an operator lists',
    by: [
      ...by(
        'wire/certificates',
        'refuses one of an authority that we do not know, whatever it is called',
        'refuses one for ${what}',
      ),
      ...by('wire/identity', 'connects to those, and to nobody else of the same authority'),
    ],
  },
  {
    id: 'L3',
    given: 'SNI',
    seen: 'the name; none for an address',
    by: by('wire/certificates', 'announces the name to the server for a name, and nothing for an address'),
  },
  {
    id: 'L4',
    given: 'a certificate that is not right',
    seen: 'the server sees no request',
    by: by('wire/certificates', 'refuses one for ${what}'),
  },
  {
    id: 'L5',
    given: 'a receiver that wants a certificate of ours',
    seen: 'none is shown',
    by: [],
    missing: {
      ...{ when: 'not planned', contract: '2', says: 'federation.custom_ca_paths' },
      why: 'that one is shown: the specification leaves client certificates to both sides and knows servers by the signature of each request (A rows), no homeserver in use asks for one, and no setting names one of ours',
    },
  },
]

export const DUTIES: Readonly<Record<string, readonly Row[]>> = {
  'Transactions: duties': TRANSACTIONS,
  'Authentication of requests': AUTHENTICATION,
  PDUs: PDUS,
  EDUs: EDU_KINDS,
  'Discovery of servers': DISCOVERY,
  TLS: TLS,
}
