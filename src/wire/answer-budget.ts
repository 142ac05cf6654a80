/**
 * How much memory may all answers that are being read take together, and which gives way when it is used up?
 *
 * The largest gives way: it is given up, which is a failure like any other. So an answer that is no larger than the
 * budget divided by the requests in flight is never given up, whatever the others send and however slowly. An ordinary
 * answer has 3 KB. If answers waited instead, those that never end would hold up the others.
 */

export interface AnswerBudget {
  /** A share for one answer; `giveUp` is called at most once, when it must give way. */
  share(giveUp: () => void): Share
  /** Bytes that are held now. */
  readonly held: number
}

export interface Share {
  /** It holds `bytes` now. False: it has given way, and holds nothing. */
  hold(bytes: number): boolean
  /** What it holds is complete: it does not give way any more. */
  keep(): void
  /** Nothing any more. */
  end(): void
}

export function makeAnswerBudget(most: number): AnswerBudget {
  /** What each holds, and how it gives way; null: it does not. */
  const shares = new Map<Share, { bytes: number; giveUp: (() => void) | null }>()
  let held = 0

  function largest(): Share | null {
    let found: Share | null = null
    let bytes = -1
    for (const [share, its] of shares) {
      if (its.giveUp === null || its.bytes <= bytes) continue
      found = share
      bytes = its.bytes
    }
    return found
  }

  return {
    get held() {
      return held
    },
    share(giveUp) {
      const share: Share = {
        hold(bytes) {
          const its = shares.get(share)
          if (its === undefined) return false
          held += bytes - its.bytes
          its.bytes = bytes
          while (held > most) {
            const first = largest()
            if (first === null) break
            const tell = shares.get(first)?.giveUp
            first.end()
            tell?.()
          }
          return shares.has(share)
        },
        keep() {
          const its = shares.get(share)
          if (its !== undefined) its.giveUp = null
        },
        end() {
          held -= shares.get(share)?.bytes ?? 0
          shares.delete(share)
        },
      }
      shares.set(share, { bytes: 0, giveUp })
      return share
    },
  }
}
