/**
 * How is a body handed to a connection? A large one in pieces, each when the one before it was taken.
 *
 * For each write Node.js lets a TLS connection have memory of that write's size, outside its own heap, and the connection keeps it for as
 * long as it lives: two thousand idle connections that have each sent a body of 4 MB once would keep 8 GB. So no write is larger than a piece.
 * A server that takes a body slowly also has only a piece of it encrypted in our memory.
 */

/** An ordinary transaction of 50 PDUs is smaller and goes in one write. */
export const PIECE_BYTES = 65_536

/** `body` itself where it is no larger than a piece. No byte is copied. */
export function inPieces(body: Buffer): Buffer | Iterable<Buffer> {
  return body.length <= PIECE_BYTES ? body : cut(body)
}

function* cut(body: Buffer): Generator<Buffer, void> {
  for (let at = 0; at < body.length; at += PIECE_BYTES) yield body.subarray(at, at + PIECE_BYTES)
}
