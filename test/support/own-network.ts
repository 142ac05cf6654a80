/**
 * A network namespace of its own, in which a program may give its loopback interface any address there is: private ones,
 * and ones of the Internet, none of which leads out. With mounts of its own it may also put files in the place of the
 * machine's, `resolv.conf` for example. For root with `unshare`, `ip` and `mount`; elsewhere the tests are skipped, or
 * fail where `LIMPET_REQUIRE_SYSTEM=1`.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inherited } from './inherited.ts'
import { leaveBehind } from './leftovers.ts'
import { skip } from './skip.ts'

interface Namespaces {
  /** Whether the program also mounts. Default false. */
  readonly mounts?: boolean
}

const unshareArgs = ({ mounts = false }: Namespaces) => ['--net', ...(mounts ? ['--mount'] : [])]
const PATIENCE_MS = 100_000

/** In a `before` hook. */
export function requireOwnNetwork(context: Mocha.Context, namespaces: Namespaces = {}): void {
  const tried = [
    ['ip', 'link', 'set', 'lo', 'up'],
    ...(namespaces.mounts === true ? [['mount', '--bind', tmpdir(), tmpdir()]] : []),
  ]
  const missing =
    process.getuid?.() !== 0
      ? 'not root: no network namespace can be made'
      : tried.every((words) => spawnSync('unshare', [...unshareArgs(namespaces), ...words]).status === 0)
        ? null
        : `no namespace of its own can be made here (${unshareArgs(namespaces).join(' ')})`
  if (missing === null) return
  if (process.env['LIMPET_REQUIRE_SYSTEM'] === '1') throw new Error(missing)
  skip(context, missing)
}

/** Runs a program there; what it says (`say`) is the result. Its standard error is ours. @throws where it fails or takes too long */
export async function inOwnNetwork<T>(
  program: URL,
  given: unknown,
  { withinMs = PATIENCE_MS, ...namespaces }: Namespaces & { readonly withinMs?: number } = {},
): Promise<T> {
  const own = [process.execPath, '--import', 'tsx', fileURLToPath(program), JSON.stringify(given)]
  const child = spawn('unshare', [...unshareArgs(namespaces), ...own], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: inherited(),
    timeout: withinMs,
  })
  // SIGTERM: what it started itself has to end too.
  const kill = () => {
    child.kill('SIGTERM')
  }
  const forget = leaveBehind({ clear: async () => Promise.resolve().then(kill), kill })
  let said = ''
  child.stdout.on('data', (bytes: Buffer) => (said += bytes.toString()))
  const status = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve))
  forget()
  if (status !== 0) throw new Error(`${fileURLToPath(program)} ended with ${String(status)} (see above)`)
  return JSON.parse(said) as T
}

/** In such a program: gives the loopback interface these addresses. Throws where it is in the network of the machine. */
export function addAddresses(addresses: readonly string[]): void {
  const links = execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' }).trim().split('\n')
  if (links.some((line) => !/^\d+: lo:|state DOWN/.test(line)))
    throw new Error('this is not a network of its own')
  execFileSync('ip', ['link', 'set', 'lo', 'up'])
  for (const address of addresses) {
    const isIpv6 = address.includes(':')
    const more = isIpv6 ? ['nodad'] : []
    execFileSync('ip', ['addr', 'add', `${address}/${isIpv6 ? 128 : 32}`, 'dev', 'lo', ...more])
  }
}

/** In such a program with mounts of its own: these texts stand in the place of the machine's files, if it has them. */
export function coverFiles(texts: Readonly<Record<string, string>>): void {
  const folder = mkdtempSync(join(tmpdir(), 'limpet-covered-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  leaveBehind({ clear: async () => Promise.resolve().then(remove), kill: remove })
  for (const [i, [path, text]] of Object.entries(texts).entries()) {
    if (!existsSync(path)) continue
    const own = join(folder, String(i))
    // Whoever they are, programs there read it.
    writeFileSync(own, text, { mode: 0o644 })
    execFileSync('mount', ['--bind', own, path])
  }
}

export const givenToProgram = (): unknown => JSON.parse(process.argv[2] ?? 'null')
export const say = (value: unknown): void => void process.stdout.write(JSON.stringify(value))
