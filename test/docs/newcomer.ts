/**
 * The way of somebody new, timed: a clone of what is committed here, and README's commands in it as they stand there, with real processes and
 * the usual ports. Of the machine's programs there are Node.js, git and those that every system has.
 *
 *   npm run newcomer
 *
 * `npm test`, which README names too, is not among them. Exit status 0 if every command did what it should.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { commandsOf, ROOT } from './blocks.ts'

const USUAL =
  'bash sh env sed grep cat ls mkdir rm cp mv chmod uname id dirname basename tar gzip xz curl git sleep head tail'
const REMOTE = '127.0.0.1:8449'

const dir = mkdtempSync(join(tmpdir(), 'limpet-newcomer-'))
const clone = join(dir, 'limpet')
const bin = join(dir, 'bin')
const running: ChildProcess[] = []

function onlyTheUsual(): NodeJS.ProcessEnv {
  mkdirSync(bin)
  for (const name of USUAL.split(' ')) {
    const path = execFileSync('bash', ['-c', `command -v ${name} || true`], { encoding: 'utf8' }).trim()
    if (path !== '') symlinkSync(path, join(bin, name))
  }
  const { HOME, USER, npm_config_registry: registry, NODE_EXTRA_CA_CERTS: authorities } = process.env
  return {
    ...{ HOME, USER, PATH: `${bin}:${dirname(process.execPath)}` },
    ...(registry !== undefined && { npm_config_registry: registry }),
    ...(authorities !== undefined && { NODE_EXTRA_CA_CERTS: authorities }),
  }
}

const env = onlyTheUsual()
const started = (script: string): ChildProcess => {
  console.log(script.replace(/^/gm, '  $ '))
  return spawn('bash', ['-euc', script], {
    ...{ cwd: clone, env, stdio: ['ignore', 'pipe', 'pipe'] },
    // A group of its own: what Ctrl-C in a terminal reaches.
    detached: true,
  })
}

/** Until it ends; what it said. */
async function doing(script: string): Promise<string> {
  const child = started(script)
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (data: Buffer) => (said += data.toString()))
  const [status] = (await once(child, 'close')) as [number | null]
  if (status !== 0) throw new Error(`exit status ${status ?? 'of a signal'}: ${said.slice(-2_000)}`)
  return said
}

/** In a terminal of its own, until it has said `sign`. Resolves to what waits for more of what it says. */
async function going(script: string, sign: RegExp): Promise<(next: RegExp) => Promise<void>> {
  const child = started(script)
  running.push(child)
  let said = ''
  const hears = (wanted: RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = () => {
        if (wanted.test(said)) resolve()
      }
      child.stdout?.on('data', look)
      child.once('close', () => reject(new Error(`it ended: ${said.slice(-2_000)}`)))
      look()
    })
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (data: Buffer) => (said += data.toString()))
  await hears(sign)
  return hears
}

async function timed(what: string, act: () => Promise<void>): Promise<void> {
  const began = performance.now()
  await act()
  console.log(`-- ${what}: ${((performance.now() - began) / 1000).toFixed(1)} s\n`)
}

const [look = '', install = '', receive = '', run = '', tell = '', example = '', after = ''] =
  commandsOf('README.md')
const [ci = '', demo = ''] = (look.split('\n')[0] ?? '').replace(/#.*/, '').split(' && ')

try {
  execFileSync('git', ['clone', '--quiet', ROOT, clone])
  await timed('installing', () => doing(ci).then(() => undefined))
  await timed('the first look', async () => console.log((await doing(demo)).split('\n').slice(-6).join('\n')))
  await timed('building', () =>
    doing(install.split('\n')[0]?.replace('npm ci && ', '') ?? '').then(() => undefined),
  )
  await timed('the first delivery', async () => {
    await doing(install.split('\n').slice(1).join('\n'))
    const hears = await going(receive, /What comes is shown/)
    await going(run, /limpet runs/)
    await doing(tell)
    await hears(/m\.room\.message/)
  })
  await timed('the first code', async () => console.log(await doing(example)))
  await timed('looking after it', async () => {
    const sticky = await doing(`npx limpet sticky --json`)
    const id = /"event_id": "([^"]+)"/.exec(sticky)?.[1] ?? ''
    await doing(after.replace('$eVeNtId', id))
  })
  console.log(`${REMOTE} has everything; README's commands did what they should`)
} finally {
  for (const child of running.reverse().filter(({ exitCode }) => exitCode === null)) {
    const ended = once(child, 'close')
    process.kill(-(child.pid ?? 0), 'SIGINT')
    await ended
  }
  rmSync(dir, { recursive: true, force: true })
}
