/** A network error in one short line that an operator can understand, with its code to search for. */
import { oneLine } from '../observe/one-line.ts'

const WORDS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'the name has no address',
  ENODATA: 'the name has no address',
  EAI_AGAIN: 'the name could not be looked up',
  ESERVFAIL: 'the name could not be looked up',
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was closed',
  ETIMEDOUT: 'no connection in time',
  EHOSTUNREACH: 'the host is unreachable',
  ENETUNREACH: 'the network is unreachable',
  EMFILE: 'this process has too many files open',
  LIMPET_UNASKED: 'the server sent something before it was asked',
  LIMPET_TLS_OVERHEAD: 'TLS carried much and delivered nothing',
  ERR_TLS_CERT_ALTNAME_INVALID: 'certificate is for another name',
  CERT_HAS_EXPIRED: 'certificate has expired',
  CERT_NOT_YET_VALID: 'certificate is not valid yet',
  CERT_REVOKED: 'certificate was revoked',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'certificate is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'certificate is from an unknown authority',
  UNABLE_TO_GET_ISSUER_CERT: 'certificate is from an unknown authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'certificate is from an unknown authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'certificate is from an unknown authority',
  ERR_SSL_WRONG_VERSION_NUMBER: 'what listens there does not speak TLS',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'what listens there does not speak TLS',
  HTTPParserError: 'the answer is not HTTP',
  UND_ERR_SOCKET: 'the connection was closed before the answer was whole',
  UND_ERR_HEADERS_OVERFLOW: "the answer's headers are too large",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'the answer was cut off',
}

/** For example `certificate is for another name (ERR_TLS_CERT_ALTNAME_INVALID)`. */
export function explainError(error: unknown): string {
  const code = codeOf(error)
  const words = code === null ? undefined : Object.hasOwn(WORDS, code) ? WORDS[code] : groupOf(code)
  const text = words ?? (error instanceof Error ? oneLine(error.message, 150) : 'unknown error')
  return code === null ? text : `${text} (${oneLine(code, 60)})`
}

/** The `code` of an error, or that of what caused it. */
export function codeOf(error: unknown, causes = 10): string | null {
  if (!(error instanceof Error) || causes === 0) return null
  if ('code' in error && typeof error.code === 'string') return error.code
  // undici loses the parser's code (7.30); its name is as good to search for.
  if (error.name === 'HTTPParserError') return error.name
  return codeOf(error.cause, causes - 1)
}

function groupOf(code: string): string | undefined {
  if (code.startsWith('HPE_')) return 'the answer is not HTTP'
  if (code.startsWith('ERR_SSL_') || code === 'EPROTO') return 'TLS handshake failed'
  return undefined
}

/** Whatever was thrown: even a look at it may throw. */
export function explainUnforeseen(error: unknown): string {
  try {
    return `internal error (see limpet's log): ${explainError(error)}`
  } catch {
    return "internal error (see limpet's log)"
  }
}
