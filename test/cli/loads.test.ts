/**
 * What a process loads, file by file as `npm run build` leaves them: a command loads nothing of the daemon, a daemon nothing
 * of the roles that it doesn't have. (Other tests start limpet from files that were joined: `../support/built.ts`.)
 */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { build } from '../bench/build.ts'
import { HERE } from '../support/built.ts'
import { inherited } from '../support/inherited.ts'
import { until } from '../support/poll.ts'
import { freshDatabase } from '../support/postgres.ts'
import { install, type Install } from './cli-stage.ts'

/** Says at the end which packages were loaded. All of these are CommonJS. */
const TELL = `process.on('exit', () => {
  const names = Object.keys(require.cache).map((path) => /.*node_modules.([^/\\\\]+)/.exec(path)?.[1])
  require('node:fs').writeSync(2, 'loaded: ' + [...new Set(names)].join(' '))
})`
const DAEMON = ['bullmq', 'fastify', 'ioredis', 'pg', 'pino', 'prom-client', 'undici']

describe('limpet loads', function () {
  this.timeout(120_000)
  let main: string
  let one: Install
  before(async () => {
    main = build(HERE, ['src', 'queues'])('src/main.ts')
    one = install({ database: (await freshDatabase()).url })
    writeFileSync(join(one.dir, 'tell.cjs'), TELL)
  })
  after(() => one.remove())

  /** Which of the daemon's packages `limpet ARGS` loads; one that runs is stopped then. */
  async function loadedBy(...args: string[]): Promise<string[]> {
    const child = spawn(process.execPath, ['-r', join(one.dir, 'tell.cjs'), main, ...args], {
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
    const loaded = /loaded: (.*)/.exec(said)?.[1]?.split(' ') ?? []
    expect(loaded, said).to.include('commander')
    return DAEMON.filter((name) => loaded.includes(name))
  }

  it('nothing of the daemon for a command that needs none of it', async () => {
    expect(await loadedBy('--version')).to.deep.equal([])
    expect(await loadedBy('status', '--help')).to.deep.equal([])
  })

  it('no HTTP server for a process that listens nowhere, and no HTTP client for one that sends nothing', async () => {
    const without = (...names: string[]) => DAEMON.filter((name) => !names.includes(name))
    expect(await loadedBy('run', '--role', 'deliver', '--listen', 'none')).to.deep.equal(without('fastify'))
    expect(await loadedBy('run', '--role', 'ingest,housekeep')).to.deep.equal(without('undici'))
  })
})
