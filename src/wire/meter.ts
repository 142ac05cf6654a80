/**
 * Counts the bytes that a connection brings, and ends it if there are more than allowed.
 *
 * HTTP can carry many bytes beside the answer itself: informational answers, chunk extensions, trailers, spaces, empty
 * lines. The parser reports few of them and limits fewer; here they are all bytes. Always: nothing is allowed on a
 * connection on which no request is under way, so bytes that come unasked end it.
 *
 * undici reads with `socket.read()` and in no other way. That function is replaced by one that counts, and that
 * returns no more than this turn of the event loop may work on (`turns.ts`).
 */
import type { TLSSocket } from 'node:tls'
import type { Turns } from './turns.ts'

export interface Meter {
  /** From now on `bytes` more may come. */
  allow(bytes: number): void
}

export const TOO_MUCH = 'LIMPET_TOO_MUCH'
export const UNASKED = 'LIMPET_UNASKED'

/** Bytes that are given to the parser at once; an ordinary answer has fewer. */
const PIECE = 4_096
/**
 * A line is as much work as so many bytes: each header, each chunk becomes objects. 4 KiB can hold a thousand of them, which
 * take some milliseconds.
 */
const LINE = 64
const LINE_FEED = 0x0a

export function meter(socket: TLSSocket, turns: Turns): Meter {
  const read = socket.read.bind(socket) as (size?: number) => Buffer | null
  let left = 0
  let asked = false
  let waits = false

  function goOn(): void {
    waits = false
    if (!socket.destroyed) socket.emit('readable')
  }

  function next(): Buffer | null {
    if (left <= 0) {
      const [code, message] = asked
        ? [TOO_MUCH, 'the server sent more than any answer may have']
        : [UNASKED, 'the server sent something that was not asked for']
      socket.destroy(Object.assign(new Error(message), { code }))
      return null
    }
    const given = turns.take(Math.min(socket.readableLength, PIECE, left))
    if (given > 0) {
      left -= given
      const piece = read(given)
      if (piece !== null) turns.charge(LINE * linesOf(piece))
      return piece
    }
    if (!waits) turns.next(goOn)
    waits = true
    return null
  }

  socket.read = (size?: number) => {
    // With nothing there it says that there is nothing, and asks for more; so does the stream itself with a size of 0.
    return size === 0 || socket.readableLength === 0 ? read(size) : next()
  }

  return {
    allow(bytes) {
      left = bytes
      asked = bytes > 0
    },
  }
}

function linesOf(piece: Buffer): number {
  let lines = 0
  // By index: an iterator takes several times as long, for each answer.
  for (let at = 0; at < piece.length; at++) if (piece[at] === LINE_FEED) lines += 1
  return lines
}
