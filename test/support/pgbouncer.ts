/**
 * A real PgBouncer before a test's PostgreSQL. Found on the PATH, else installed from Debian's packages where we may, else
 * the test is skipped and the count says why; with LIMPET_REQUIRE_PGBOUNCER=1 a missing one is a failure.
 */
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { quietPort } from './port.ts'
import { leaveBehind } from './leftovers.ts'
import { until } from './poll.ts'
import { findOrInstall, INSTALL_MS } from './program.ts'
import { skip } from './skip.ts'

export type PoolMode = 'session' | 'transaction' | 'statement'

export interface PgBouncer {
  /** As `url`, but through it. */
  through(url: string): string
  remove(): Promise<void>
}

export interface PgBouncerOptions {
  mode: PoolMode
  /** Further lines for the section `[pgbouncer]`, over its defaults. */
  settings?: Readonly<Record<string, string | number>>
}

let looked: Promise<string | null> | undefined

/** Looks for it before any test: files that run beside each other must not install it at the same time. */
export async function preparePgBouncer(): Promise<void> {
  looked ??= findOrInstall('pgbouncer', 'pgbouncer')
  await looked
}

/** Starts one in front of the server of `url`. Call it in a `before` hook or a test; it may skip it. */
export async function startPgBouncer(
  context: Mocha.Context,
  url: string,
  options: PgBouncerOptions,
): Promise<PgBouncer> {
  const timeout = context.timeout()
  context.timeout(INSTALL_MS)
  await preparePgBouncer()
  const program = await looked
  context.timeout(timeout)
  if (program !== null && program !== undefined) return start(program, new URL(url), options)
  if (process.env['LIMPET_REQUIRE_PGBOUNCER'] === '1')
    throw new Error('no pgbouncer on the PATH and none could be installed, but LIMPET_REQUIRE_PGBOUNCER=1')
  return skip(context, 'no pgbouncer')
}

/** PgBouncer refuses to run as root. */
const NOBODY = { uid: 65534, gid: 65534 }

/** Between the choice of a free port and its use somebody else may have taken it: then with another one. */
async function start(program: string, server: URL, options: PgBouncerOptions, tries = 5): Promise<PgBouncer> {
  try {
    return await tryStart(program, server, options, await quietPort())
  } catch (error) {
    if (tries <= 1) throw error
    return start(program, server, options, tries - 1)
  }
}

async function tryStart(
  program: string,
  server: URL,
  { mode, settings = {} }: PgBouncerOptions,
  port: number,
): Promise<PgBouncer> {
  const directory = mkdtempSync(join(tmpdir(), 'limpet-pgbouncer-'))
  const { hostname, port: serverPort, username, password } = server
  const lines = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    auth_type: 'any',
    pool_mode: mode,
    ...settings,
  }
  const file = join(directory, 'pgbouncer.ini')
  const login = `user=${decodeURIComponent(username)} password=${decodeURIComponent(password)}`
  const text = [
    '[databases]',
    `* = host=${hostname} port=${serverPort || '5432'} ${login}`,
    '[pgbouncer]',
    ...Object.entries(lines).map(([name, value]) => `${name} = ${value}`),
    '',
  ]
  writeFileSync(file, text.join('\n'))
  chmodSync(directory, 0o755)
  const child = spawn(program, [file], {
    stdio: 'ignore',
    ...(process.getuid?.() === 0 ? NOBODY : {}),
  })
  child.on('error', () => undefined)
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()))
  const gone = () => child.exitCode !== null || child.signalCode !== null
  const tidy = () => rmSync(directory, { recursive: true, force: true })
  const remove = async () => {
    child.kill('SIGKILL')
    await ended
    tidy()
    forget()
  }
  const forget = leaveBehind({
    clear: remove,
    kill: () => {
      tidy()
      child.kill('SIGKILL')
    },
  })
  await until(async () => gone() || (await listens(port)), { what: `pgbouncer on port ${port} to answer` })
  if (gone()) {
    await remove()
    throw new Error(`pgbouncer did not start on port ${port}`)
  }
  return {
    through: (url) => {
      const changed = new URL(url)
      changed.hostname = '127.0.0.1'
      changed.port = String(port)
      return changed.href
    },
    remove,
  }
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}
