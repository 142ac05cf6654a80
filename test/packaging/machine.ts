/**
 * A small machine to install limpet on: a Debian without anything, made by debootstrap once and copied, with this Node.js in it. It has processes, mounts
 * and a network of its own, which is loopback alone, and goes with the program that made it. It has no systemd. For root, on Linux.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { startProgram, type Process } from '../cli/cli-stage.ts'
import { HERE } from '../support/built.ts'
import { leaveBehind } from '../support/leftovers.ts'
import { findOrInstall } from '../support/program.ts'

export interface Task {
  /** Of bash. */
  readonly script: string
  /** Default: root. */
  readonly user?: string
  /** In the machine. */
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** In the network of this machine, for npm's registry. Default: false. */
  readonly online?: boolean
  /** As process 1 of its own, as in a container. Default: false. */
  readonly first?: boolean
}

export interface Machine {
  /** Where its files are. */
  readonly root: string
  /** Runs a script to its end and returns what it wrote. @throws where it fails */
  run(task: Task): string
  start(task: Task): Process
  stop(): void
}

const BASE = join(HERE, '.cache/packaging/bookworm')
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** @param prefix where Node.js is: `/usr` as Debian's packages have it, `/usr/local` as the image `node` has it */
export async function makeMachine(prefix: '/usr' | '/usr/local'): Promise<Machine> {
  await makeBase()
  const root = mkdtempSync(join(tmpdir(), 'limpet-machine-'))
  execFileSync('cp', ['-a', `${BASE}/.`, root])
  installNode(join(root, prefix))
  const own = ['--mount', '--net', '--pid', '--fork', '--kill-child']
  const holder = spawn('unshare', [...own, 'bash', '-euc', HOLD, 'machine', root], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const stop = () => {
    holder.kill('SIGKILL')
    rmSync(root, { recursive: true, force: true })
  }
  const forget = leaveBehind({ clear: () => Promise.resolve().then(stop), kill: stop })
  await once(holder.stdout, 'data')
  // The first process of the machine; its parent is `unshare`, which stays outside.
  const pid = execFileSync('pgrep', ['-P', String(holder.pid)], { encoding: 'utf8' }).trim()
  const words = ({ user = 'root', cwd = '/', env = {}, online = false, first = false, script }: Task) => [
    ...['--target', pid, '--mount', '--pid', ...(online ? [] : ['--net'])],
    ...(first ? ['unshare', '--pid', '--fork', '--kill-child', '--mount'] : []),
    ...['chroot', root, 'env', '-i', `PATH=${PATH}`, 'LANG=C.UTF-8', ...(online ? ONLINE : [])],
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
    ...['bash', '--norc', '-euc', `cd ${cwd}${first ? '; mount -t proc proc /proc' : ''}; ${as(user)} "$1"`],
    ...['machine', script],
  ]
  return {
    root,
    run: (task) => {
      const { status, stdout, stderr } = spawnSync('nsenter', words(task), { encoding: 'utf8' })
      if (status !== 0) throw new Error(`${task.script}\nexit status ${String(status)}: ${stdout}${stderr}`)
      return stdout
    },
    start: (task) => startProgram('nsenter', words(task), { cwd: '/', env: process.env }),
    stop: () => {
      forget()
      stop()
    },
  }
}

/** `exec` leaves no shell in between: a signal reaches the program, which may be process 1. */
const as = (user: string) =>
  user === 'root'
    ? 'exec bash --norc -euc'
    : `exec setpriv --reuid=${user} --regid=${user} --clear-groups bash --norc -euc`

/** What npm needs to reach its registry from there: names, authorities, and what it fetched before. */
const ONLINE = ['npm_config_prefer_offline=true', 'npm_config_cache=/root/.npm', 'HOME=/root'].concat(
  process.env['NODE_EXTRA_CA_CERTS'] === undefined ? [] : ['NODE_EXTRA_CA_CERTS=/root/authorities.pem'],
)

/** Mounts in a namespace of their own: nothing of them is left when it ends. */
const HOLD = `
  root=$1
  ip link set lo up
  mount --make-rprivate /
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mkdir -p "$root/root/.npm"
  mount --bind "\${npm_config_cache:-$HOME/.npm}" "$root/root/.npm"
  cp /etc/resolv.conf /etc/hosts "$root/etc/"
  [ -z "\${NODE_EXTRA_CA_CERTS:-}" ] || cp "$NODE_EXTRA_CA_CERTS" "$root/root/authorities.pem"
  echo ready
  exec sleep infinity`

async function makeBase(): Promise<void> {
  if (existsSync(BASE)) return
  const debootstrap = await findOrInstall('debootstrap', 'debootstrap')
  if (debootstrap === null) throw new Error('no debootstrap')
  mkdirSync(dirname(BASE), { recursive: true })
  const making = mkdtempSync(`${BASE}-`)
  execFileSync(debootstrap, ['--variant=minbase', 'bookworm', making, 'http://deb.debian.org/debian'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  execFileSync('chmod', ['755', making])
  execFileSync('mv', [making, BASE])
}

function installNode(prefix: string): void {
  mkdirSync(join(prefix, 'lib/node_modules'), { recursive: true })
  cpSync(process.execPath, join(prefix, 'bin/node'))
  const npm = execFileSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).trim()
  // …/lib/node_modules/npm/bin/npm-cli.js
  cpSync(dirname(dirname(realpathSync(npm))), join(prefix, 'lib/node_modules/npm'), { recursive: true })
  for (const name of ['npm', 'npx'])
    symlinkSync(`../lib/node_modules/npm/bin/${name}-cli.js`, join(prefix, 'bin', name))
}
