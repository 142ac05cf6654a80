/**
 * `limpet receive`: a strict remote homeserver on loopback that prints what it is sent, for trying limpet without a
 * federation. It is one of the simulator's fleet, with a certificate authority that stays the same from start to start.
 *
 * It asks nothing of a running limpet; of the configuration it uses `server_name`, `data_dir`, the signing key (to check
 * signatures, and to sign the one event that it has ready), and what it takes to say how limpet reaches it.
 */
import { randomBytes } from 'node:crypto'
import { renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Config } from '../../config/config.ts'
import { loadSigningKey } from '../../config/files.ts'
import { closeDataDir } from '../../config/folder.ts'
import { printableJson } from '../../observe/printable.ts'
import { systemClock } from '../../pace/clock.ts'
import { startFakeHomeserver } from '../../simulate/fleet/fake-homeserver.ts'
import type {
  FakeHomeserver,
  FakeHomeserverOptions,
  OtherContact,
} from '../../simulate/fleet/fake-homeserver.ts'
import type { LookedAtRequest } from '../../simulate/fleet/receiver.ts'
import { counted } from '../admin/ages.ts'
import { CommandError } from '../cli-error.ts'
import type { Io } from '../io.ts'
import { screenOf, writeTinted } from '../screen.ts'
import { shellWord } from '../shell-word.ts'
import { untilAborted } from '../stop-signal.ts'
import { configOption, shownPath } from '../shown-path.ts'
import { linesOfContact, linesOfRequest, objectsOfRequest, wordsOfContact } from './arrivals.ts'
import { openAuthority } from './authority.ts'
import { feedCommand, firstEvent } from './first-event.ts'
import { introLines } from './intro.ts'
import { asEnvironment, neededSettings } from './needed-settings.ts'

export interface ReceiveOptions {
  readonly config: Config
  /** 0: a free one. */
  readonly port: number
  readonly json: boolean
  readonly io: Io
  /** Aborts when it is to end. */
  readonly signal: AbortSignal
}

const ADDRESS = '127.0.0.1'
/** Transactions, and PDUs, that are recognised when they come again. */
const REMEMBERED = 20_000

/** Runs until `signal` aborts or nobody reads any more. @throws CommandError where it can't listen */
export async function runReceive({ config, port, json, io, signal }: ReceiveOptions): Promise<void> {
  const key = loadSigningKey(config.signing_key_path)
  const origin = config.server_name
  closeDataDir(config.data_dir)
  const folder = join(config.data_dir, 'receive')
  const suffix = randomBytes(6).toString('hex')
  const kept = await openAuthority(folder, { now: systemClock.now(), suffix })
  const tls = await kept.authority.issue({ ips: [ADDRESS] })

  const screen = () => screenOf(io.stdout, io.env)
  const unread = new AbortController()
  /** `lines` for people, or `objects`. */
  const print = (lines: readonly string[], objects: readonly object[]) => {
    if (json) for (const one of objects) io.stdout.write(`${printableJson(JSON.stringify(one))}\n`)
    else for (const line of lines) writeTinted(io.stdout, `${line}\n`)
    if (io.stdout.destroyed === true) unread.abort()
  }
  const counts = { transactions: 0, repeated: 0, pdus: 0, edus: 0, objections: 0 }
  const told = { origin, stickyFields: config.sticky.field_names }
  const onRequest = (request: LookedAtRequest) => {
    count(counts, request)
    print(linesOfRequest(request, told, screen()), objectsOfRequest(request, told))
  }
  const onOther = (contact: OtherContact) => {
    // Who has sent something trusts us: that a connection is closed unused means nothing then.
    if (contact.kind === 'no request' && (counts.transactions > 0 || signal.aborted)) return
    const at = systemClock.now()
    const words = wordsOfContact(contact)
    print(linesOfContact(words, at, screen()), [{ kind: contact.kind, at, why: words }])
  }

  const server = await listen({
    ...{ tls, origin, clock: systemClock, host: ADDRESS, port, onRequest, onOther },
    verifyKey: (id) => (id === key.keyId ? key.publicKey : null),
    ...{ keepBodies: false, checkPdus: true, mostRemembered: REMEMBERED },
  })
  try {
    const { serverName } = server
    if (serverName === origin)
      throw new CommandError(`${serverName} is the homeserver's own name: give another port with --port`)
    const eventPath = join(folder, 'first-event.json')
    const event = firstEvent({ origin, key, serverName, port: server.port }, systemClock.now())
    writeFileSync(`${eventPath}.${suffix}`, `${JSON.stringify(event)}\n`, { mode: 0o600, flag: 'wx' })
    renameSync(`${eventPath}.${suffix}`, eventPath)
    const settings = neededSettings(config, {
      ...{ serverName, address: ADDRESS, port: server.port, caPath: kept.caPath },
      caShown: shownPath(config.file === null ? io.cwd : dirname(config.file), kept.caPath),
    })
    const options = configOption(config, io.cwd).map(shellWord)
    const run = [...asEnvironment(settings), 'npx limpet run', ...options].join(' ')
    const feed = feedCommand(config, eventPath, (path) => shownPath(io.cwd, path))
    print(introLines({ serverName, origin, replaced: kept.replaced, settings, run, feed }, screen()), [
      {
        ...{
          kind: 'started',
          server_name: serverName,
          origin,
          ca_path: kept.caPath,
          run,
          feed: feed.command,
        },
        ...{ feed_note: feed.note, settings: { federation: settings }, first_event_path: eventPath },
        ca_replaced: kept.replaced,
      },
    ])
    await untilAborted(AbortSignal.any([signal, unread.signal]))
  } finally {
    await server.stop()
  }
  const { transactions, repeated, pdus, edus, objections } = counts
  const again = repeated === 0 ? '' : ` (${repeated} repeated)`
  print(
    [
      `${counted(transactions, 'transaction')}${again} with ${counted(pdus, 'PDU')} and ${counted(edus, 'EDU')}, ` +
        counted(objections, 'objection'),
    ],
    [{ kind: 'ended', ...counts }],
  )
}

type Counts = Record<'transactions' | 'repeated' | 'pdus' | 'edus' | 'objections', number>

function count(counts: Counts, { repeated, pdus, edus, objections }: LookedAtRequest): void {
  counts.transactions += 1
  counts.repeated += repeated ? 1 : 0
  counts.pdus += repeated ? 0 : pdus.length
  counts.edus += repeated ? 0 : edus.length
  counts.objections += objections.length
}

/** @throws CommandError with what to do about a port that can't be had */
async function listen(options: FakeHomeserverOptions): Promise<FakeHomeserver> {
  try {
    return await startFakeHomeserver(options)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why = { EADDRINUSE: 'is taken', EACCES: 'is not for this user' }[code ?? '']
    const what =
      why === undefined ? `can't listen on ${ADDRESS}: ${message}` : `port ${options.port ?? 0} ${why}`
    throw new CommandError(`${what}: give another port with --port`, { cause: error })
  }
}
