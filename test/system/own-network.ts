/**
 * A network namespace of its own, in which a program may give its loopback interface any address there is: private ones,
 * and ones of the Internet, none of which leads out. For root with `unshare` and `ip`; elsewhere the tests are skipped, or
 * fail where `LIMPET_REQUIRE_SYSTEM=1`.
 */
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { skip } from '../support/skip.ts'

/** In a `before` hook. */
export function requireOwnNetwork(context: Mocha.Context): void {
  const missing =
    process.getuid?.() !== 0
      ? 'not root: no network namespace can be made'
      : spawnSync('unshare', ['-n', 'ip', 'link', 'set', 'lo', 'up']).status !== 0
        ? 'no network namespace can be made here (unshare, ip)'
        : null
  if (missing === null) return
  if (process.env['LIMPET_REQUIRE_SYSTEM'] === '1') throw new Error(missing)
  skip(context, missing)
}

/** Runs a program of this folder there; what it says (`say`) is the result. */
export async function inOwnNetwork<T>(program: string, given: unknown): Promise<T> {
  const path = fileURLToPath(new URL(program, import.meta.url))
  const args = ['-n', process.execPath, '--import', 'tsx', path, JSON.stringify(given)]
  const { stdout } = await promisify(execFile)('unshare', args, { maxBuffer: 1e8, timeout: 100_000 })
  return JSON.parse(stdout) as T
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

export const givenToProgram = (): unknown => JSON.parse(process.argv[2] ?? 'null')
export const say = (value: unknown): void => void process.stdout.write(JSON.stringify(value))
