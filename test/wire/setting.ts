/** What the tests of sending share: an authority, our key, a way to send, and servers that end with the test. */
import { randomBytes } from 'node:crypto'
import { systemClock } from '../../src/pace/clock.ts'
import { parseServerName } from '../../src/matrix/ids.ts'
import type { ServerName } from '../../src/matrix/ids.ts'
import { generateKey } from '../../src/matrix/signing.ts'
import type { SigningKey } from '../../src/matrix/signing.ts'
import { assembleTransaction } from '../../src/matrix/transaction.ts'
import { makeCertificateAuthority } from '../../src/simulate/fleet/certs.ts'
import type { CertificateAuthority } from '../../src/simulate/fleet/certs.ts'
import { startFakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import type { FakeHomeserver, FakeHomeserverOptions } from '../../src/simulate/fleet/fake-homeserver.ts'
import { makeConnections } from '../../src/wire/connections.ts'
import type { Connections, ConnectionsConfig } from '../../src/wire/connections.ts'
import { makeRemotes } from '../../src/wire/send.ts'
import type { Reach, SendResult } from '../../src/wire/send-result.ts'
import { connectAndSend, type TextRequest } from '../support/connect-and-send.ts'
import type { ProxyFor } from '../../src/allow/no-proxy.ts'
import { makeResolveTarget, noLookup } from '../support/resolve-target.ts'
import type { VetAddress } from '../../src/allow/vet.ts'
import type { Lookup } from '../../src/wire/target.ts'

export const origin = name('limpet.example')

export function name(text: string): ServerName {
  const parsed = parseServerName(text)
  if (parsed === null) throw new TypeError(`not a server name: ${text}`)
  return parsed
}

/** A transaction of PDUs that carry their ids, as in room version 1. */
export function aBody(...eventIds: string[]): string {
  const pduTexts = eventIds.map((id) => JSON.stringify({ event_id: id, room_id: '!r:limpet.example' }))
  return assembleTransaction({ origin, originServerTs: 1_700_000_000_000, pduTexts })
}

export interface Sender {
  readonly connections: Connections
  readonly send: (destination: string, request?: Partial<Reach & TextRequest>) => Promise<SendResult>
}

export interface SenderOptions extends ConnectionsConfig {
  readonly lookup: Lookup
  readonly vet: VetAddress
  readonly proxyFor: ProxyFor
  /** For the name of a proxy. */
  readonly proxyLookup: Lookup
}

export interface Setting {
  readonly authority: CertificateAuthority
  readonly key: SigningKey
  readonly sender: (options?: Partial<SenderOptions>) => Sender
  readonly homeserver: (options?: Partial<FakeHomeserverOptions>) => Promise<FakeHomeserver>
  /** Has `close` called when the test ends. */
  readonly closing: (close: () => unknown) => void
}

let authority: Promise<CertificateAuthority> | undefined

/** To be called in a `describe`: registers its hooks and gives the setting of the running test. */
export function useSetting(): () => Setting {
  let closers: (() => unknown)[] = []
  let setting: Setting | null = null

  beforeEach(async () => {
    authority ??= makeCertificateAuthority(Date.now())
    setting = makeSetting(await authority, (close) => closers.unshift(close))
  })
  afterEach(async () => {
    for (const close of closers) await close()
    closers = []
  })
  return () => {
    if (setting === null) throw new Error('no test is running')
    return setting
  }
}

function makeSetting(ca: CertificateAuthority, closing: Setting['closing']): Setting {
  const { key } = generateKey((size) => randomBytes(size))
  return {
    authority: ca,
    key,
    closing,
    sender({ lookup = noLookup, vet, proxyFor, proxyLookup = noLookup, ...config } = {}) {
      const defaults = { maxIdleConnections: 100, connectTimeoutMs: 60_000, customCas: [ca.cert] }
      const connections = makeConnections(
        { ...defaults, vet: () => null, lookup: proxyLookup, ...config },
        systemClock,
      )
      closing(() => connections.close())
      const resolveTarget = makeResolveTarget({
        lookup,
        ...(vet === undefined ? {} : { vet }),
        ...(proxyFor === undefined ? {} : { proxyFor }),
      })
      const log = { debug: () => undefined, error: () => undefined }
      const needs = { connections, resolveTarget, key, origin, clock: systemClock, log }
      const send = connectAndSend(makeRemotes({ ...needs, userAgent: 'limpet/0.0.0' }))
      return {
        connections,
        send: (destination, request = {}) =>
          send({
            destination: name(destination),
            txnId: randomBytes(8).toString('hex'),
            body: aBody('$a'),
            eventIds: ['$a', '$b'],
            timeoutMs: 60_000,
            stillHeld: () => true,
            signal: new AbortController().signal,
            ...request,
          }),
      }
    },
    async homeserver(options = {}) {
      const server = await startFakeHomeserver({
        tls: await ca.issue(),
        origin,
        verifyKey: (keyId) => (keyId === key.keyId ? key.publicKey : null),
        clock: systemClock,
        ...options,
      })
      closing(() => server.stop())
      return server
    },
  }
}
