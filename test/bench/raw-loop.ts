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
import { makeResolveTarget, systemLookup } from '../../src/wire/target.ts'
import { connectAndSend } from '../support/connect-and-send.ts'
import { answerParent } from './child.ts'

export interface RawLoopOptions {
  destinations: string[]
  origin: string
  /** The key file's text. */
  keyText: string
  /** PEM. */
  ca: string
  bodies: string[]
}

let answered = 0
let failed = 0

answerParent({
  start: ({ destinations, origin, keyText, ca, bodies }: RawLoopOptions) => {
    const connections = makeConnections(
      { maxIdleConnections: destinations.length, connectTimeoutMs: 10_000, customCas: [ca] },
      systemClock,
    )
    const remotes = makeRemotes({
      connections,
      resolveTarget: makeResolveTarget({ lookup: systemLookup }),
      key: readSigningKey(keyText),
      origin: origin as ServerName,
      userAgent: 'limpet/bench',
      clock: systemClock,
      log: makeLog({ level: 'silent', pretty: false }),
    })
    const send = connectAndSend(remotes)
    const { signal } = new AbortController()
    const stillHeld = () => true
    const loop = async (destination: ServerName) => {
      for (;;) {
        const body = bodies[(answered + failed) % bodies.length] ?? ''
        const txnId = makeTxnId(randomBytes)
        const { kind } = await send({
          destination,
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
    for (const name of destinations) void loop(name as ServerName)
  },
  counts: () => ({ answered, failed }),
})
