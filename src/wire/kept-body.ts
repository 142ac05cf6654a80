/**
 * The body of one answer while it is read: one piece of memory that grows, whatever pieces the body comes in.
 *
 * A piece that is kept as it came also keeps everything that came with it (16 KiB for one byte, if a server sends it
 * like that). So only the first piece is kept so; most answers have no other.
 */
import type { AnswerBudget } from './answer-budget.ts'

export interface KeptBody {
  bytes(): number
  add(chunk: Buffer): void
  /** What is there; it is complete, and counts until `forget`. */
  all(): Buffer
  readonly forget: () => void
}

const LEAST = 8192
const NOTHING = Buffer.alloc(0)

/** `giveUp` is called where others need the memory more: nothing is kept from then on. */
export function keepBody(budget: AnswerBudget, giveUp: () => void): KeptBody {
  let buffer: Buffer = NOTHING
  let bytes = 0
  /** The first piece is not ours to write to. */
  let ours = false
  const share = budget.share(giveUp)
  return {
    bytes: () => bytes,
    add(chunk) {
      const needed = bytes + chunk.length
      if (bytes === 0) {
        if (!share.hold(chunk.buffer.byteLength)) return
        buffer = chunk
      } else {
        if (!ours || buffer.length < needed) {
          const size = Math.max(LEAST, 2 ** Math.ceil(Math.log2(needed)))
          if (!share.hold(size)) return
          const larger = Buffer.allocUnsafeSlow(size)
          larger.set(buffer.subarray(0, bytes))
          buffer = larger
          ours = true
        }
        buffer.set(chunk, bytes)
      }
      bytes = needed
    },
    all() {
      share.keep()
      return bytes === buffer.length ? buffer : buffer.subarray(0, bytes)
    },
    forget() {
      share.end()
      buffer = NOTHING
    },
  }
}
