/**
 * The limit that limpet is measured against, in a process of its own: the same client sends ready bodies to
 * the same receivers, one at a time to each, with nothing to remember and nobody to ask.
 */
import { randomBytes } from 'node:crypto'
import { systemClock } from '../../src/pace/clock.ts'
import { makeTxnId, type ServerName } from '../../src/matrix/ids.ts'
import { readSigningKey } from '../../src/matrix/signing.ts'
import { makeLog } from '../../src/observe/log.ts'
import { makeConnections } from '../../src/wire/connections.ts'
import { makeRemotes } from '../../src/wire/send.ts'
import { makeResolveTarget, noLookup } from '../support/resolve-target.ts'
import { connectAndSend } from '../support/connect-and-send.ts'
import { answerParent, machineMs } from './child.ts'

export interface RawLoopOptions {
  destinations: string[]
  origin: string
  /** The key file's text. */
  keyText: string
  /** PEM. */
  ca: string
  bodies: string[]
}

const AT_ONCE = 512

let answered = 0
let failed = 0

/** Sends the next body, and resolves when it is answered. */
function opened({ destinations, origin, keyText, ca, bodies }: RawLoopOptions) {
  const connections = makeConnections(
    {
      maxIdleConnections: destinations.length,
      connectTimeoutMs: 10_000,
      customCas: [ca],
      vet: () => null,
      lookup: noLookup,
    },
    systemClock,
  )
  const remotes = makeRemotes({
    connections,
    resolveTarget: makeResolveTarget({ lookup: noLookup }),
    key: readSigningKey(keyText),
    origin: origin as ServerName,
    userAgent: 'limpet/bench',
    clock: systemClock,
    log: makeLog({ level: 'silent', pretty: false }),
  })
  const send = connectAndSend(remotes)
  const { signal } = new AbortController()
  const stillHeld = () => true
  return async (destination: string): Promise<void> => {
    const body = bodies[(answered + failed) % bodies.length] ?? ''
    const txnId = makeTxnId(randomBytes)
    const { kind } = await send({
      destination: destination as ServerName,
      txnId,
      body,
      eventIds: [],
      timeoutMs: 60_000,
      stillHeld,
      signal,
    })
    if (kind === 'answered') answered += 1
    else failed += 1
  }
}

let toAll: (() => Promise<void>) | null = null

/** So many at once, as `limpet run` has by default. */
function makeBurst(options: RawLoopOptions): () => Promise<void> {
  const send = opened(options)
  return async () => {
    const left = [...options.destinations]
    const one = async () => {
      for (let name = left.pop(); name !== undefined; name = left.pop()) await send(name)
    }
    await Promise.all(Array.from({ length: AT_ONCE }, one))
  }
}

answerParent({
  start: (options: RawLoopOptions) => {
    const send = opened(options)
    const loop = async (name: string) => {
      for (;;) await send(name)
    }
    for (const name of options.destinations) void loop(name)
  },
  /** One body to each, once; returns when it began, by the machine's clock, ms. The first one makes the connections. */
  burst: async (options: RawLoopOptions) => {
    toAll ??= makeBurst(options)
    const began = machineMs()
    await toAll()
    return began
  },
  counts: () => ({ answered, failed }),
})
