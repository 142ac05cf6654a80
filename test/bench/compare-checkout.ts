/**
 * A checkout that is to be measured, given as a folder or as something that git knows (a commit, a branch, a tag). The latter
 * is checked out into a temporary worktree, which goes with the run, with the packages of its own lock file: ours, where
 * the two files are equal, otherwise by `npm ci`.
 */
import { execFile, execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { leaveBehind } from '../support/leftovers.ts'
import { HERE } from '../support/built.ts'
import { buildCheckout } from './build.ts'

export interface Checkout {
  /** For people: what was given, and the commit. */
  label: string
  built: (source: string) => string
}

/** What a checkout must have. The raw loop goes with the client that it drives. */
const WANTED = ['package.json', 'src/main.ts', 'test/bench/raw-loop.ts']

/** @throws Error with a message of one line that says what is wrong with what was given */
export async function openCheckout(given: string): Promise<Checkout> {
  const { root, label } = existsSync(join(given, 'src/main.ts')) ? folder(given) : await worktree(given)
  const missing = WANTED.find((name) => !existsSync(join(root, name)))
  if (missing !== undefined) throw new Error(`${given} has no ${missing}: it can't be measured`)
  if (!existsSync(join(root, 'node_modules')))
    throw new Error(`${given} has no node_modules: run npm ci there`)
  return { label, built: buildCheckout(root) }
}

function folder(given: string): { root: string; label: string } {
  const root = resolve(given)
  try {
    const changed = git(root, 'status', '--porcelain', '--untracked-files=no') !== ''
    const commit = git(root, 'rev-parse', '--short', 'HEAD')
    return { root, label: `${given} (${commit}${changed ? ' and changes' : ''})` }
  } catch {
    return { root, label: given }
  }
}

async function worktree(ref: string): Promise<{ root: string; label: string }> {
  const commit = commitOf(ref)
  const parent = mkdtempSync(join(tmpdir(), 'limpet-bench-'))
  const root = join(parent, 'checkout')
  const remove = () => {
    rmSync(parent, { recursive: true, force: true })
    git(HERE, 'worktree', 'prune')
  }
  leaveBehind({ clear: () => Promise.resolve().then(remove), kill: remove })
  git(HERE, 'worktree', 'add', '--quiet', '--detach', root, commit)
  const lockFile = (of: string) => readFileSync(join(of, 'package-lock.json'), 'utf8')
  if (lockFile(root) === lockFile(HERE)) symlinkSync(join(HERE, 'node_modules'), join(root, 'node_modules'))
  else await promisify(execFile)('npm', ['ci'], { cwd: root })
  const short = git(HERE, 'rev-parse', '--short', commit)
  return { root, label: ref.startsWith(short) ? short : `${ref} (${short})` }
}

function commitOf(ref: string): string {
  try {
    return git(HERE, 'rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`)
  } catch {
    throw new Error(`${ref} is neither a checkout of limpet nor a commit that git knows here`)
  }
}

function git(where: string, ...words: string[]): string {
  return execFileSync('git', words, { cwd: where, stdio: ['ignore', 'pipe', 'pipe'] })
    .toString()
    .trim()
}
