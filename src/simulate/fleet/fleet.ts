/**
 * A fleet of strict homeservers on loopback, each with its part in the story.
 */
import type { Clock } from '../../pace/clock.ts'
import type { SigningKey } from '../../matrix/signing.ts'
import type { Behaves } from './behaviour.ts'
import { startFakeHomeserver } from './fake-homeserver.ts'
import type { FakeHomeserver } from './fake-homeserver.ts'
import type { FleetNames } from '../names/names.ts'

export interface FleetOptions {
  readonly count: number
  readonly behaves: (index: number) => Behaves
  /** How they are called, and found. */
  readonly names: Pick<FleetNames, 'place'>
  /** Our server name, and the key that its requests are signed with. */
  readonly origin: string
  readonly key: Pick<SigningKey, 'keyId' | 'publicKey'>
  readonly clock: Clock
}

export interface Fleet {
  readonly servers: readonly FakeHomeserver[]
  /** The server at `index`. Throws where there is none. */
  at(index: number): FakeHomeserver
  stop(): Promise<void>
}

/** Of so many requests to a server one has its signature checked: tweetnacl takes 10 ms for it. */
const VERIFY_EVERY = 8

/** Starts all of them, each on a free port and under its name. */
export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const { count, behaves, names, origin, key, clock } = options
  const servers: FakeHomeserver[] = []
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()))
  }
  try {
    for (let index = 0; index < count; index++) {
      const behaviour = behaves(index)
      const verifyKey = (id: string) => (id === key.keyId ? key.publicKey : null)
      const { called, tls, hostHeader, publish } = await names.place(index)
      const server = await startFakeHomeserver({
        ...{ ...called, tls, hostHeader, origin, verifyKey, clock, behaviour, verifyEvery: VERIFY_EVERY },
      })
      servers.push(server)
      publish(server)
    }
  } catch (error) {
    await stop()
    throw error
  }
  return {
    servers,
    stop,
    at(index) {
      const server = servers[index]
      if (server === undefined) throw new RangeError(`the fleet has no server ${index}`)
      return server
    },
  }
}
