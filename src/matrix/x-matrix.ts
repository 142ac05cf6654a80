/**
 * The `Authorization: X-Matrix` header, by which a homeserver knows who sends a request.
 *
 * Spec: server-server API, "Request Authentication". What is signed is the canonical JSON of `{content, destination,
 * method, origin, uri}`. These keys are already in canonical order, so the bytes are put together from the body's own
 * canonical text, and nothing is parsed or sorted.
 */
import type { SigningKey } from './signing.ts'

export interface RequestToSign {
  origin: string
  destination: string
  method: string
  /** Path and query, from `/_matrix/…` on, as it stands in the request line. */
  uri: string
  /** The body: canonical JSON text, sent byte for byte. Absent for a request without a body. */
  contentText?: string
}

export interface XMatrix {
  origin: string
  /** Null where the sender left it out, as servers did before version 1.3 of the specification. */
  destination: string | null
  keyId: string
  /** Base64, as it came. */
  signature: string
}

/** The text whose UTF-8 is signed. */
export function textToSign({ origin, destination, method, uri, contentText }: RequestToSign): string {
  const content = contentText === undefined ? '' : `"content":${contentText},`
  return (
    `{${content}"destination":${JSON.stringify(destination)},"method":${JSON.stringify(method)},` +
    `"origin":${JSON.stringify(origin)},"uri":${JSON.stringify(uri)}}`
  )
}

const BEFORE_CONTENT = Buffer.from('{"content":')

/** What of the memory below is kept: an ordinary transaction of 50 PDUs fits. */
const MOST_KEPT_BYTES = 131_072
/** What is signed is put together here. Memory of its own for each request is given back by the garbage collector alone, which then has more to do. */
let desk = Buffer.allocUnsafeSlow(16_384)

function deskFor(bytes: number): Buffer {
  if (bytes > MOST_KEPT_BYTES) return Buffer.allocUnsafeSlow(bytes)
  if (bytes > desk.length) desk = Buffer.allocUnsafeSlow(Math.min(MOST_KEPT_BYTES, 2 * bytes))
  return desk.subarray(0, bytes)
}

/** The same as bytes, until the next call: a body may be long, and is never made text again. */
function bytesToSign(request: Omit<RequestToSign, 'contentText'>, content: Uint8Array): Buffer {
  const after = `,${textToSign(request).slice(1)}`
  const end = BEFORE_CONTENT.length + content.length
  const bytes = deskFor(end + Buffer.byteLength(after))
  bytes.set(BEFORE_CONTENT)
  bytes.set(content, BEFORE_CONTENT.length)
  bytes.write(after, end)
  return bytes
}

/**
 * The header's value for one request, whose body is `content`, canonical JSON in UTF-8. A repeated request is signed anew: the
 * key may have changed.
 */
export function authorizationFor(
  request: Omit<RequestToSign, 'contentText'> & { content?: Uint8Array; key: SigningKey },
): string {
  const { origin, destination, content, key } = request
  const signature = key.sign(content === undefined ? textToSign(request) : bytesToSign(request, content))
  // One space, lower-case names, quotes and no spaces at the commas: "for compatibility with older servers".
  return `X-Matrix origin="${origin}",destination="${destination}",key="${key.keyId}",sig="${signature}"`
}

// RFC 9110, 5.6.2 and 5.6.4. Colons in a bare value: "the recipient should allow" them.
const PARAMETER = /([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~0-9A-Za-z:-]+))/y
const COMMA = /[ \t]*,[ \t]*/y
const SCHEME = /^X-Matrix +/i

/**
 * Takes the header's value apart, or returns null: a malformed one, a parameter twice, or origin, key or sig
 * missing. Parameters that the specification does not name are passed over.
 */
export function parseXMatrix(header: string): XMatrix | null {
  const scheme = SCHEME.exec(header)
  if (scheme === null) return null
  const found = parameters(header.trimEnd(), scheme[0].length)
  const origin = found?.get('origin')
  const keyId = found?.get('key')
  const signature = found?.get('sig')
  if (found === null || origin === undefined || keyId === undefined || signature === undefined) return null
  return { origin, destination: found.get('destination') ?? null, keyId, signature }
}

function parameters(header: string, start: number): Map<string, string> | null {
  const found = new Map<string, string>()
  let at = start
  for (;;) {
    PARAMETER.lastIndex = at
    const match = PARAMETER.exec(header)
    if (match === null) return null
    const [whole, name = '', quoted, bare = ''] = match
    const key = name.toLowerCase()
    if (found.has(key)) return null
    found.set(key, quoted === undefined ? bare : quoted.replace(/\\(.)/g, '$1'))
    at += whole.length
    if (at === header.length) return found
    COMMA.lastIndex = at
    const comma = COMMA.exec(header)
    if (comma === null) return null
    at += comma[0].length
  }
}
