/**
 * One real Synapse on loopback: its files in a folder of its own, its process, and its end.
 *
 * Federation goes over TLS, on `localhost:PORT`, which is also its server name, or where a story has it (`Place`), through a gate that
 * sees what arrives (`gate.ts`) and is open exactly while the Synapse runs; clients use plain HTTP over a Unix socket.
 * Every homeserver of a run trusts the run's own certificate authority and nothing else.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKey } from '../../../src/matrix/signing.ts'
import type { CertificateAuthority } from '../../../src/simulate/fleet/certs.ts'
import { type Gate, makeGate } from './gate.ts'
import { homeserverYaml } from './homeserver-yaml.ts'
import { overSocket, type UnixHttp } from './unix-http.ts'
import type { SynapseInstall } from './venv.ts'
import { leaveBehind } from '../../support/leftovers.ts'
import { until } from '../../support/poll.ts'

/** Where other servers find a Synapse, by whatever way. */
export interface Place {
  readonly serverName: string
  readonly address: string
  readonly port: number
  /** The name that its certificate is for. */
  readonly certificateFor: string
}

export interface SynapseOptions {
  /** What the tests call it: `a`. */
  readonly name: string
  readonly install: SynapseInstall
  /** A database of its own, UTF8 with locale C. */
  readonly databaseUrl: string
  /** With a `/dbid` of its own: the keys of Synapse's cache do not name the homeserver. Null: without Redis. */
  readonly redisUrl: string | null
  /** The only one that this homeserver trusts; it signs its certificate too. */
  readonly authority: CertificateAuthority
  /** `federation_sender_instances`; left out, Synapse sends for itself. A name that no process has turns its sender off. */
  readonly senderInstances?: readonly string[]
  /** Whether it knows of presence. Default false: it is said to every server all the time. */
  readonly presence?: boolean
  /** Default: a port of 127.0.0.1, and `localhost` with that port as its server name. */
  readonly place?: Place
}

/** What a restart may change. */
export interface SynapseChange {
  /** Null: it sends for itself. */
  readonly senderInstances?: readonly string[] | null
  readonly redisUrl?: string | null
}

export interface Synapse {
  readonly serverName: string
  /** Its client API. */
  readonly client: UnixHttp
  readonly databaseUrl: string
  /** Null: this Synapse runs without. */
  readonly redisUrl: string | null
  /** Its door for other servers. */
  readonly gate: Gate
  readonly signingKeyPath: string
  readonly caPath: string
  readonly sharedSecret: string
  /** Ends it with SIGTERM and waits for its exit. */
  stop(): Promise<void>
  kill9(): Promise<void>
  /** Starts it again after `stop` or `kill9` (which it does first where it still runs), with other settings if given. */
  restart(change?: SynapseChange): Promise<void>
  /** As it was when it was made: running, with its first settings, its gate open for everybody. */
  settle(): Promise<void>
  /** The newest lines of its log, without the most common chatter. */
  logTail(lines?: number): Promise<string>
  /** Ends it and removes its folder. */
  dispose(): Promise<void>
}

const START_DEADLINE_MS = 120_000
/** Lines of Synapse's log that say nothing about what a story is about. */
const CHATTER = /background_updates|\/sync\?|replication_notifier|rotate_notifs|lrucache/

/** Starts a Synapse and waits until clients are answered. @throws with the end of its log when it does not come up. */
export async function startSynapse(options: SynapseOptions): Promise<Synapse> {
  const { name, install, databaseUrl, authority, place } = options
  const folder = await mkdtemp(join(tmpdir(), `limpet-synapse-${name}-`))
  const at = (file: string) => join(folder, file)
  const leaf = await authority.issue(place === undefined ? {} : { names: [place.certificateFor] })
  const gate = await makeGate(leaf, place)
  const federationSocket = at('federation.sock')
  const clientSocket = at('client.sock')
  const client = overSocket(clientSocket)
  gate.leadTo(federationSocket)
  const serverName = place?.serverName ?? `localhost:${gate.port}`
  const sharedSecret = 'interop'
  const logPath = at('synapse.log')
  let { senderInstances, redisUrl } = options
  let child: ChildProcess | null = null

  await writeFile(at('ca.crt'), authority.cert)
  // What `--generate-keys` would write, which starts the whole of Synapse for it.
  await writeFile(at('signing.key'), generateKey(randomBytes).fileText, { mode: 0o600 })

  async function start(): Promise<void> {
    await writeFile(
      at('homeserver.yaml'),
      homeserverYaml({
        serverName,
        federationSocket,
        clientSocket,
        folder,
        databaseUrl,
        redisUrl,
        sharedSecret,
        senderInstances,
        presence: options.presence === true,
      }),
    )
    const started = await launch()
    child = started
    const answers = () =>
      client.ask('GET', '/_matrix/client/versions').then(
        ({ status }) => status === 200,
        () => false,
      )
    await until(async () => started.exitCode !== null || (await answers()), {
      withinMs: START_DEADLINE_MS,
      everyMs: 50,
      what: `Synapse ${name} to answer`,
    })
    if (started.exitCode !== null) throw new Error(`Synapse ${name} ended:\n${await logTail()}`)
    gate.open()
  }

  async function launch(): Promise<ChildProcess> {
    const log = await open(logPath, 'a')
    const started = spawn(install.python, ['-m', 'synapse.app.homeserver', '-c', at('homeserver.yaml')], {
      cwd: folder,
      stdio: ['ignore', log.fd, log.fd],
    })
    await log.close()
    return started
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    gate.close()
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await exited(child)
  }

  async function logTail(lines = 40): Promise<string> {
    const text = await readFile(logPath, 'utf8').catch(() => '')
    return text
      .trimEnd()
      .split('\n')
      .filter((line) => !CHATTER.test(line))
      .slice(-lines)
      .join('\n')
  }

  // Where the run is cut short nobody calls `dispose`.
  const forget = leaveBehind({ clear: dispose, kill })
  function kill(): void {
    child?.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
  async function dispose(): Promise<void> {
    forget()
    await end('SIGTERM')
    await client.close()
    await gate.dispose()
    await rm(folder, { recursive: true, force: true })
  }

  const synapse: Synapse = {
    serverName,
    client,
    databaseUrl,
    get redisUrl() {
      return redisUrl
    },
    gate,
    signingKeyPath: at('signing.key'),
    caPath: at('ca.crt'),
    sharedSecret,
    stop: () => end('SIGTERM'),
    kill9: () => end('SIGKILL'),
    async restart(change) {
      await end('SIGTERM')
      if (change?.senderInstances !== undefined) senderInstances = change.senderInstances ?? undefined
      if (change?.redisUrl !== undefined) redisUrl = change.redisUrl
      await start()
    },
    async settle() {
      gate.heal()
      const runs = child?.exitCode === null && child.signalCode === null
      if (runs && senderInstances === options.senderInstances && redisUrl === options.redisUrl) return
      await end('SIGTERM')
      senderInstances = options.senderInstances
      redisUrl = options.redisUrl
      await start()
    },
    logTail,
    dispose,
  }
  try {
    await start()
  } catch (error) {
    await dispose()
    throw error
  }
  return synapse
}

async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}
