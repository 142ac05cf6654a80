/**
 * `ops/Containerfile`, step by step, each stage on a machine of its own, and what it makes, run as a container engine runs it: as its
 * user, as process 1, with the configuration of `ops/README.md`. The machines stand for the image: Debian, with this Node.js under /usr/local.
 */
import { randomBytes } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename, join, posix } from 'node:path'
import { expect } from 'chai'
import { generateKey } from '../../src/matrix/signing.ts'
import type { Process } from '../cli/cli-stage.ts'
import { HERE } from '../support/built.ts'
import { copyOf, readContainerfile, textOf, wordsOf, type Stage } from './containerfile.ts'
import { lineOf, said } from './installed.ts'
import { makeMachine, type Machine } from './machine.ts'

type Say = (line: string) => void

export async function followContainerfile(say: Say): Promise<void> {
  const made = new Map<string, Machine>()
  let last: { stage: Stage; machine: Machine } | undefined
  for (const stage of readContainerfile('ops/Containerfile')) {
    const machine = await makeMachine('/usr/local')
    // As the image `node` has it.
    machine.run({ script: 'groupadd --gid 1000 node && useradd --uid 1000 --gid node --create-home node' })
    build(stage, { machine, made, say })
    if (stage.name !== null) made.set(stage.name, machine)
    last = { stage, machine }
  }
  if (last === undefined) throw new Error('no stage')
  await runAsContainer(last.stage, last.machine, say)
  for (const machine of [...made.values(), last.machine]) machine.stop()
}

function build(
  stage: Stage,
  { machine, made, say }: { machine: Machine; made: Map<string, Machine>; say: Say },
) {
  let cwd = '/'
  for (const { instruction, text } of stage.steps) {
    say(`== ${instruction} ${text}`)
    if (instruction === 'RUN') say(machine.run({ script: text, cwd, online: true }))
    if (instruction === 'WORKDIR') {
      cwd = text
      mkdirSync(join(machine.root, cwd), { recursive: true })
    }
    if (instruction === 'COPY') {
      const { from, sources, target } = copyOf(text)
      const root = from === null ? HERE : made.get(from)?.root
      if (root === undefined) throw new Error(`no stage ${from ?? ''}`)
      for (const source of sources) {
        const path = join(
          machine.root,
          posix.resolve(cwd, target),
          target.endsWith('/') ? basename(source) : '',
        )
        cpSync(join(root, source), path, { recursive: true, verbatimSymlinks: true })
      }
    }
  }
}

async function runAsContainer(stage: Stage, machine: Machine, say: Say): Promise<void> {
  const page = readFileSync(join(HERE, 'ops/README.md'), 'utf8')
  const yaml = /cat >config\/limpet\.yaml <<'END'\n([^]*?)^END$/m.exec(page)?.[1] ?? ''
  const etc = join(machine.root, 'etc/limpet')
  mkdirSync(etc)
  writeFileSync(join(etc, 'limpet.yaml'), yaml)
  writeFileSync(join(etc, 'signing.key'), generateKey((size) => randomBytes(size)).fileText)
  machine.run({ script: 'chown -R 1000:1000 /etc/limpet && chmod 600 /etc/limpet/*' })

  const user = textOf(stage, 'USER') ?? 'root'
  const cwd = textOf(stage, 'WORKDIR') ?? '/'
  const env = Object.fromEntries(
    stage.steps
      .filter(({ instruction }) => instruction === 'ENV')
      .map(({ text }) => text.split('=') as [string, string]),
  )
  const entry = wordsOf(textOf(stage, 'ENTRYPOINT') ?? '')
  const start = (words: readonly string[]) =>
    machine.start({
      script: `exec ${[...entry, ...words].map(quoted).join(' ')}`,
      user,
      cwd,
      env,
      first: true,
    })
  const command = wordsOf(textOf(stage, 'CMD') ?? '')
  const health = wordsOf((textOf(stage, 'HEALTHCHECK') ?? '').replace(/^.*? CMD /, ''))
  const isHealthy = () => {
    machine.run({ script: health.map(quoted).join(' '), user, cwd, env })
  }

  say('== limpet check-config')
  say((await said(start(['check-config']))).split('\n').slice(-5).join('\n'))
  expect(isHealthy).to.throw(/exit status 1/)
  const began = Date.now()
  for (const round of ['first start', 'again, after it was killed']) {
    say(`== ${round}`)
    const limpet = start(command)
    say(await lineOf(limpet, /limpet runs/))
    isHealthy()
    say(machine.run({ script: 'limpet status', user, cwd, env }))
    const pid = innermost(limpet)
    expect(readFileSync(`/proc/${pid}/status`, 'utf8')).to.match(/^NSpid:.*\t1$/m)
    process.kill(pid, round === 'first start' ? 'SIGKILL' : 'SIGTERM')
    const status = await limpet.ended
    if (round !== 'first start') expect(status, limpet.out + limpet.err).to.equal(0)
  }
  // So its file system can be read-only.
  const written = machine.run({
    script: `find / -xdev -newermt @${Math.floor(began / 1000)} -type f ! -path '/proc/*' ! -path '/dev/*'`,
  })
  const elsewhere = written
    .split('\n')
    .filter((path) => path !== '' && !/^\/(var\/lib\/limpet|tmp)\//.test(path))
  expect(elsewhere).to.deep.equal([])
  expect(statSync(join(machine.root, 'var/lib/limpet')).mode & 0o777).to.equal(0o700)
}

const quoted = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`

/** The program itself, below what brings it into its namespaces. */
function innermost({ child }: Process): number {
  let pid = child.pid ?? 0
  for (;;) {
    if (/^node\0/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))) return pid
    const [below = ''] = execFileSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' })
      .trim()
      .split('\n')
    pid = Number(below)
  }
}
