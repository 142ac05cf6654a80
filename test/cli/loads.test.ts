/**
 * What a process loads, file by file as `npm run build` leaves them: a command loads nothing of the daemon, a daemon nothing
 * of the roles that it doesn't have, nothing of `simulate`, and not what makes a log readable. (Other tests start limpet from
 * files that were joined: `../support/built.ts`.)
 */
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect } from 'chai'
import { build } from '../bench/build.ts'
import { HERE } from '../support/built.ts'
import { inherited } from '../support/inherited.ts'
import { until } from '../support/poll.ts'
import { freshDatabase } from '../support/postgres.ts'
import { install, type Install } from './cli-stage.ts'

/** A module that writes into `file` what its process loads, one a line: what is imported, and what is required from there. */
const recorder = (file: string) => `
import { appendFileSync } from 'node:fs'
import { createRequire, register } from 'node:module'
const hooks = \`
  import { appendFileSync } from 'node:fs'
  export function load(url, context, next) {
    appendFileSync(${JSON.stringify(file)}, url + '\\\\n')
    return next(url, context)
  }\`
register('data:text/javascript,' + encodeURIComponent(hooks))
const { cache } = createRequire(import.meta.url)
process.on('exit', () => appendFileSync(${JSON.stringify(file)}, Object.keys(cache).join('\\n')))
`
const DAEMON = ['bullmq', 'fastify', 'ioredis', 'pg', 'pino', 'prom-client', 'undici']
/** For no daemon. */
const ELSEWHERE = [
  '/src/cli/simulate/simulate.js',
  '/src/simulate/fleet/fleet.js',
  'selfsigned',
  'pino-pretty',
  'tsx',
]

describe('limpet loads', function () {
  this.timeout(120_000)
  let main: string
  let one: Install
  before(async () => {
    main = build(HERE, ['src', 'queues'])('src/main.ts')
    one = install({ database: (await freshDatabase()).url })
  })
  after(() => one.remove())

  /** The files that `limpet ARGS` loads; one that runs is stopped then. */
  async function loadedBy(...args: string[]): Promise<string[]> {
    const [file, module] = [join(one.dir, 'loaded'), join(one.dir, 'recorder.mjs')]
    writeFileSync(file, '')
    writeFileSync(module, recorder(file))
    const child = spawn(process.execPath, ['--import', pathToFileURL(module).href, main, ...args], {
      cwd: one.dir,
      env: inherited(),
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
    const ended = new Promise((resolve) => child.once('close', resolve))
    if (args[0] === 'run') {
      await until(() => said.includes('limpet runs') || child.exitCode !== null, { what: 'limpet to run' })
      child.kill('SIGTERM')
    }
    expect(await ended, said).to.equal(0)
    const loaded = readFileSync(file, 'utf8').split('\n')
    // The record is one.
    expect(among(loaded, 'commander'), said).to.equal(true)
    return loaded
  }
  const among = (loaded: readonly string[], part: string) =>
    loaded.some((path) => path.includes(part.includes('/') ? part : `/node_modules/${part}/`))
  const ofDaemon = (loaded: readonly string[]) => DAEMON.filter((name) => among(loaded, name))

  it('nothing of the daemon for a command that needs none of it', async () => {
    expect(ofDaemon(await loadedBy('--version'))).to.deep.equal([])
    expect(ofDaemon(await loadedBy('status', '--help'))).to.deep.equal([])
  })

  it('no HTTP server for a process that listens nowhere, and no HTTP client for one that neither sends nor shows what discovery finds', async () => {
    const without = (...names: string[]) => DAEMON.filter((name) => !names.includes(name))
    const deliver = await loadedBy('run', '--role', 'deliver', '--listen', 'none')
    expect(ofDaemon(deliver)).to.deep.equal(without('fastify'))
    const others = await loadedBy('run', '--role', 'housekeep')
    expect(ofDaemon(others)).to.deep.equal(without('undici'))
    expect(among(others, 'got')).to.equal(false)
    for (const loaded of [deliver, others]) {
      expect(among(loaded, '/src/daemon/daemon.js')).to.equal(true)
      expect(ELSEWHERE.filter((part) => among(loaded, part))).to.deep.equal([])
    }
  })
})
