/**
 * promtool, which tells whether alert rules fire when they should. Found on the PATH, else taken out of Debian's package
 * `prometheus` (which is only unpacked: installing it would start a service), else the test is skipped and the count
 * says why; with LIMPET_REQUIRE_PROMTOOL=1 a missing one is a failure.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { skip } from './skip.ts'

const FETCH_MS = 240_000
let looked: string | null | undefined

/** Where it is; to be called in a `before` hook, which it may make take long. */
export function promtool(context: Mocha.Context): string {
  context.timeout(FETCH_MS + 10_000)
  looked ??= onPath() ?? cached() ?? fetched()
  if (looked !== null) return looked
  if (process.env['LIMPET_REQUIRE_PROMTOOL'] === '1') {
    throw new Error('no promtool on the PATH and none to be had, but LIMPET_REQUIRE_PROMTOOL=1')
  }
  return skip(context, 'no promtool')
}

const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'limpet-tests')

function onPath(): string | null {
  return runs('promtool') ? 'promtool' : null
}

function cached(): string | null {
  const program = join(cache, 'promtool')
  return existsSync(program) && runs(program) ? program : null
}

function fetched(): string | null {
  let aside: string | null = null
  try {
    mkdirSync(cache, { recursive: true })
    aside = mkdtempSync(join(cache, 'aside-'))
    const options = { cwd: aside, stdio: 'ignore' as const, timeout: FETCH_MS }
    try {
      execFileSync('apt-get', ['-q', 'download', 'prometheus'], options)
    } catch {
      // The list of packages may be missing, or older than the archive.
      execFileSync('apt-get', ['-q', 'update'], options)
      execFileSync('apt-get', ['-q', 'download', 'prometheus'], options)
    }
    const [archive = ''] = readdirSync(aside)
    execFileSync(
      'sh',
      ['-c', 'dpkg-deb --fsys-tarfile "$1" | tar -x ./usr/bin/promtool', 'sh', archive],
      options,
    )
    // In one step: two runs may be at it.
    renameSync(join(aside, 'usr/bin/promtool'), join(cache, 'promtool'))
    return cached()
  } catch {
    return null
  } finally {
    if (aside !== null) rmSync(aside, { recursive: true, force: true })
  }
}

function runs(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
