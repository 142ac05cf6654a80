/**
 * Another user of the same machine: what `nobody` can do there, beside a limpet that root or `daemon` runs. For root with `setpriv`;
 * elsewhere the tests are skipped, or fail where `LIMPET_REQUIRE_SYSTEM=1`.
 */
import { execFile, spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { leaveBehind } from '../support/leftovers.ts'
import { until } from '../support/poll.ts'
import { skip } from '../support/skip.ts'

const as = (user: string) => [
  `--reuid=${user}`,
  `--regid=${user === 'nobody' ? 'nogroup' : user}`,
  '--clear-groups',
]

/** In a `before` hook. */
export function requireOtherUsers(context: Mocha.Context): void {
  const missing =
    process.getuid?.() !== 0
      ? 'not root: nobody else can be another user'
      : spawnSync('setpriv', [...as('nobody'), process.execPath, '-e', '0']).status !== 0
        ? 'no setpriv, or no account nobody that can run Node.js'
        : null
  if (missing === null) return
  if (process.env['LIMPET_REQUIRE_SYSTEM'] === '1') throw new Error(missing)
  skip(context, missing)
}

/** A command as `user`, with nothing of root's. */
export const commandAs = (user: string, ...command: string[]): [string, string[]] =>
  user === 'root' ? [command[0] ?? '', command.slice(1)] : ['setpriv', [...as(user), ...command]]

/** Runs `code`, whose last words are `say(VALUE)`, as nobody, and gives that value. `given` is what it calls `given`. */
export async function asNobody<T>(given: unknown, code: string): Promise<T> {
  const [file, args] = commandAs('nobody', process.execPath, '-e', program(given, code))
  const { stdout } = await promisify(execFile)(file, args, { cwd: '/', maxBuffer: 1e8, timeout: 60_000 })
  return JSON.parse(stdout) as T
}

const program = (given: unknown, code: string) =>
  `const given = ${JSON.stringify(given)}, fs = require('fs'), net = require('net')
   const say = (value) => process.stdout.write(JSON.stringify(value) + '\\n')
   ${code}`

/** Which of `paths` nobody can open, and what is in them; folders: which of them can be listed. */
export const readAll = (paths: readonly string[]): Promise<{ path: string; text: string }[]> =>
  asNobody(
    paths,
    `say(given.flatMap((path) => {
       try { return [{ path, text: fs.statSync(path).isDirectory() ? fs.readdirSync(path).join(' ') : fs.readFileSync(path, 'latin1') }] }
       catch { return [] }
     }))`,
  )

/** A port of 127.0.0.1, or the path of a Unix socket. */
export type Place = number | string

/** Which of `places` nobody can connect to; `times` connections each, open at once. */
export const connectAll = (places: readonly Place[], times = 1): Promise<Place[]> =>
  asNobody(
    places.flatMap((place) => Array<Place>(times).fill(place)),
    `Promise.all(given.map((place) => new Promise((done) => {
       const socket = net.connect(...(typeof place === 'number' ? [place, '127.0.0.1'] : [place]))
       socket.on('connect', () => setTimeout(() => done([place]), 500)).on('error', () => done([]))
     }))).then((found) => { say(found.flat()); process.exit() })`,
  )

export interface Squatter {
  /** Where it listens now. */
  places(): Place[]
  /** All that was said to it so far. */
  heard(): string
  /** Says `word` to it at `place`, and gives all that it had heard before. */
  heardBefore(word: string, place: Place): Promise<string>
  /** Listens on, but takes no connection and reads nothing until `thaw`. */
  freeze(): void
  thaw(): void
  stop(): Promise<void>
}

/**
 * Nobody takes over what it can of `places`, as soon as it can, and asks every client that connects for a password in the clear. When this
 * returns it has tried once. `host`: where its ports are; `::` is everywhere.
 */
export async function squat(places: readonly Place[], host = '127.0.0.1'): Promise<Squatter> {
  const code = `
    const squat = (place) => {
      if (typeof place === 'string') try { fs.unlinkSync(place) } catch {}
      const server = net.createServer((socket) => {
        socket.on('error', () => {})
        socket.on('data', (bytes) => say(bytes.toString('latin1')))
        socket.write(Buffer.from([82, 0, 0, 0, 8, 0, 0, 0, 3]))
      })
      server.on('error', () => { say([]); setTimeout(squat, 5, place) })
      server.listen(...(typeof place === 'number' ? [place, given.host] : [place]), () => {
        // As wide as it goes: every client is welcome.
        if (typeof place === 'string') fs.chmodSync(place, 0o777)
        say([place])
      })
    }
    given.places.forEach(squat)`
  const [file, args] = commandAs('nobody', process.execPath, '-e', program({ places, host }, code))
  const child = spawn(file, args, { cwd: '/', stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const forget = leaveBehind({ clear: () => Promise.resolve(), kill: () => void child.kill('SIGKILL') })
  let output = ''
  child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()))
  const lines = () =>
    output
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Place[] | string)
  await until(() => lines().length >= places.length, { what: 'nobody to have tried' })
  const heard = () =>
    lines()
      .filter((line) => typeof line === 'string')
      .join('')
  return {
    places: () => lines().flatMap((line) => (typeof line === 'string' ? [] : line)),
    heard,
    heardBefore: async (word, place) => {
      const socket = typeof place === 'number' ? connect(place, '127.0.0.1') : connect(place)
      socket.end(word)
      await until(() => heard().includes(word), { what: 'nobody to hear us' })
      socket.destroy()
      return heard().replace(word, '')
    },
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    stop: async () => {
      child.kill('SIGKILL')
      await ended
      forget()
    },
  }
}

/** Where the process `pid` listens. */
export function placesOf(pid: number): Place[] {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).map((fd) => /socket:\[(\d+)\]/.exec(link(`/proc/${pid}/fd/${fd}`))?.[1]),
  )
  const rows = (table: string) =>
    readFileSync(`/proc/net/${table}`, 'utf8')
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
  // proc(5): in the state LISTEN; sockets that take connections have this flag.
  const ports = [...rows('tcp'), ...rows('tcp6')]
    .filter((row) => row[3] === '0A' && inodes.has(row[9]))
    .map((row) => parseInt(row[1]?.split(':').at(-1) ?? '', 16))
  const paths = rows('unix').filter((row) => row[3] === '00010000' && inodes.has(row[6]))
  return [...new Set(ports), ...paths.map((row) => row[7] ?? '')]
}

function link(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

/** Everything below `folder`, itself included; links are not followed. */
export function walk(folder: string): string[] {
  return [
    folder,
    ...readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? walk(join(folder, entry.name)) : [join(folder, entry.name)],
    ),
  ]
}
