/**
 * Limits the number of TLS handshakes at once.
 *
 * A handshake takes a millisecond or two of this process's only thread: 32 at once end after 80–100 ms, 256 at once
 * after 580 ms (measured), and a restart opens thousands. But a peer that says nothing uses no thread, so a place is
 * given up after `slotMs` whatever became of its handshake: servers that accept and stay silent must not take the
 * places from those that would answer.
 */
import { timerMs } from '../pace/clock.ts'

/** Gives up a place. May be called more than once. */
export type LeaveHandshake = () => void

export interface HandshakeGate {
  /** Waits for a place, first come, first served; null where `signal` ended the wait. */
  enter(signal: AbortSignal): Promise<LeaveHandshake | null>
  readonly inside: number
}

export function makeHandshakeGate({ atOnce, slotMs }: { atOnce: number; slotMs: number }): HandshakeGate {
  const waiting: (() => void)[] = []
  let inside = 0

  function take(): LeaveHandshake {
    inside++
    let left = false
    const timer = setTimeout(leave, timerMs(slotMs))
    function leave(): void {
      if (left) return
      left = true
      clearTimeout(timer)
      inside--
      waiting.shift()?.()
    }
    return leave
  }

  function enter(signal: AbortSignal): Promise<LeaveHandshake | null> {
    if (signal.aborted) return Promise.resolve(null)
    if (inside < atOnce) return Promise.resolve(take())
    return new Promise((resolve) => {
      const admit = () => {
        signal.removeEventListener('abort', giveUp)
        resolve(take())
      }
      const giveUp = () => {
        waiting.splice(waiting.indexOf(admit), 1)
        resolve(null)
      }
      waiting.push(admit)
      signal.addEventListener('abort', giveUp, { once: true })
    })
  }

  return {
    enter,
    get inside() {
      return inside
    },
  }
}
