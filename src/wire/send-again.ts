/**
 * May a request that was written to an idle connection be sent again at once, on a new one?
 *
 * Servers close idle connections at times of their own choosing (nginx after 75 s), and a request can cross the close
 * on its way. Such a request says nothing about the server's health, so it is not a failure: it is sent once more,
 * with the same id and the same bytes, which makes it harmless if the first one was read after all. Always: only if
 * the connection was closed or reset and not one byte came back. Silence is a time-out, and a broken answer is an
 * answer.
 */
import type { Exchange } from './exchange.ts'
import { codeOf } from './explain-error.ts'

/** Ends of a connection that are the other side's doing. Time-outs of the kernel (ETIMEDOUT) are none. */
const CLOSED = new Set([
  'UND_ERR_SOCKET', // undici's word for an end of TCP or of TLS (close_notify)
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
])

/** Pure. For an exchange over a connection that had been idle; a new one's first request never goes again. */
export function maySendAgain({ ending, handed, answerBegan, status, error }: Exchange): boolean {
  // Some servers say goodbye to an idle connection with this (RFC 9110, 15.5.9: it may be repeated on a new one).
  if (ending === 'whole' && status === 408) return true
  if (ending !== 'error' || answerBegan) return false
  // Nothing was written at all: the server's goodbye was already here.
  if (!handed) return true
  return CLOSED.has(codeOf(error) ?? '')
}
