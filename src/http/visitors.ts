/**
 * Which connections may stay open, counted over all our listeners?
 *
 * Promises: there are never more than `most` connections for longer than a moment, so that the process keeps
 * descriptors for everything else. A connection that is silent, or has no token, never keeps a new one out (a health
 * check, a producer): it is closed instead.
 *
 * A connection is either a stranger or an acquaintance (its latest request had a token that we know), and either
 * silent or with a request under way. They give way in this order: the stranger that has been silent longest; the
 * stranger whose answer has taken longest; the acquaintance that has been silent longest. An acquaintance with a
 * request under way never gives way; then the new connection is closed.
 */
import type { Socket } from 'node:net'

type State = 'silent' | 'asking' | 'known' | 'served'
const GIVE_WAY: readonly State[] = ['silent', 'asking', 'known']

/** How long a stranger may be silent that has never asked for anything. */
const SILENT_MS = 10_000
/**
 * And one that has: longer than the server keeps an idle connection (`door.ts`), which tells its client how long that is. A
 * monitor that asks every 10 s would otherwise meet the end of its connection now and then, and report a failure.
 */
const KEPT_MS = 75_000
/** How long a stranger may take for one answer. Acquaintances have the server's own time-outs. */
const ASKING_MS = 60_000

export interface Visitors {
  /** A new connection. */
  came(socket: Socket): void
  /** A request came; the function that is returned is called when its answer is out, or never will be. */
  asked(socket: Socket): () => void
  /** Its latest request has a token that we know. */
  recognise(socket: Socket): void
  /** Ends connections that have been silent for too long. Called about once a second. */
  sweep(): void
  counts(): Readonly<Record<State, number>>
}

interface Visitor {
  state: State
  /** Requests under way. */
  open: number
  isKnown: boolean
  hasAsked: boolean
}

export function makeVisitors({ most, now }: { most: number; now: () => number }): Visitors {
  const visitors = new Map<Socket, Visitor>()
  // Each with the moment since when; a Map keeps the order of insertion, so its first one is the longest in that state.
  const inState: Record<State, Map<Socket, number>> = {
    silent: new Map(),
    asking: new Map(),
    known: new Map(),
    served: new Map(),
  }

  function move(socket: Socket, visitor: Visitor): void {
    inState[visitor.state].delete(socket)
    visitor.state =
      visitor.open === 0 ? (visitor.isKnown ? 'known' : 'silent') : visitor.isKnown ? 'served' : 'asking'
    inState[visitor.state].set(socket, now())
  }

  function forget(socket: Socket): void {
    const visitor = visitors.get(socket)
    if (visitor !== undefined) inState[visitor.state].delete(socket)
    visitors.delete(socket)
  }

  function end(socket: Socket): void {
    forget(socket)
    socket.destroy()
  }

  return {
    came(socket) {
      if (visitors.size >= most) {
        const [goes] = GIVE_WAY.flatMap((state) => [...inState[state].keys()].slice(0, 1))
        if (goes === undefined) {
          socket.destroy()
          return
        }
        end(goes)
      }
      const visitor: Visitor = { state: 'silent', open: 0, isKnown: false, hasAsked: false }
      visitors.set(socket, visitor)
      move(socket, visitor)
      socket.once('close', () => forget(socket))
    },
    asked(socket) {
      const visitor = visitors.get(socket)
      if (visitor === undefined) return () => undefined
      visitor.open += 1
      visitor.hasAsked = true
      visitor.isKnown = false
      move(socket, visitor)
      return () => {
        visitor.open -= 1
        if (visitors.get(socket) === visitor) move(socket, visitor)
      }
    },
    recognise(socket) {
      const visitor = visitors.get(socket)
      if (visitor === undefined) return
      visitor.isKnown = true
      move(socket, visitor)
    },
    sweep() {
      for (const state of ['silent', 'asking'] as const)
        for (const [socket, since] of inState[state]) {
          const idleMs = visitors.get(socket)?.hasAsked === true ? KEPT_MS : SILENT_MS
          if (now() - since >= (state === 'silent' ? idleMs : ASKING_MS)) end(socket)
        }
    },
    counts: () => ({
      silent: inState.silent.size,
      asking: inState.asking.size,
      known: inState.known.size,
      served: inState.served.size,
    }),
  }
}
