/**
 * Makes the Python virtual environment from which the interop test runs real Synapses, once.
 *
 * It holds what `requirements.txt` beside this file pins, nothing else, and is used again until that
 * file changes. It stands in `.cache/synapse-VERSION` of the checkout, or where LIMPET_SYNAPSE_VENV says.
 * Where it cannot be made (no Python, no PyPI) the caller gets the reason as one line, not an error.
 */
import { createHash } from 'node:crypto'
import { spawn } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const checkout = join(import.meta.dirname, '..', '..', '..')
const requirementsFile = join(import.meta.dirname, 'requirements.txt')

export interface SynapseInstall {
  /** The Python executable that can import Synapse. */
  readonly python: string
  /** Synapse's version, as pinned. */
  readonly version: string
}

/** Either an install to run, or why there is none. */
export type SynapseVenv =
  | { readonly install: SynapseInstall; readonly missing?: never }
  | { readonly install?: never; readonly missing: string }

/**
 * Finds the virtual environment or makes it (about half a minute and 250 MB, with a line now and then).
 * @throws only where something other than Python or PyPI is in the way, such as an unwritable folder.
 */
export async function synapseVenv(say: (line: string) => void): Promise<SynapseVenv> {
  const requirements = await readFile(requirementsFile, 'utf8')
  const version = /^matrix-synapse==(\S+)$/m.exec(requirements)?.[1]
  if (version === undefined) throw new Error(`${requirementsFile} does not pin matrix-synapse`)
  const folder = process.env['LIMPET_SYNAPSE_VENV'] ?? join(checkout, '.cache', `synapse-${version}`)
  const python = join(folder, 'bin', 'python')
  const install = { python, version }
  // Written last, so that a half-made environment is never mistaken for a whole one.
  const marker = join(folder, '.limpet-complete')
  const wanted = createHash('sha256').update(requirements).digest('hex')
  if ((await readFile(marker, 'utf8').catch(() => '')) === wanted) return { install }

  say(`making a Python virtual environment with Synapse ${version} in ${folder} (once)`)
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  const base = process.env['PYTHON'] ?? 'python3'
  const made = await run(base, ['-m', 'venv', folder], say)
  if (made.code !== 0) return { missing: `${base} makes no virtual environment: ${made.lastLine}` }
  const pip = ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-input', '--progress-bar', 'off']
  const polite = ['--retries', '2', '--timeout', '15', '--only-binary', ':all:']
  const got = await run(python, [...pip, ...polite, '-r', requirementsFile], say)
  if (got.code !== 0) return { missing: `PyPI gives no Synapse ${version}: ${got.lastLine}` }
  await writeFile(marker, wanted)
  return { install }
}

/** Runs a command to its end; says its newest line every five seconds, so that nobody waits before a blank screen. */
function run(
  command: string,
  args: string[],
  say: (line: string) => void,
): Promise<{ code: number; lastLine: string }> {
  return new Promise((resolve) => {
    let lastLine = ''
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    const note = (chunk: Buffer) => {
      lastLine = chunk.toString().trimEnd().split('\n').at(-1)?.trim() ?? lastLine
    }
    child.stdout.on('data', note)
    child.stderr.on('data', note)
    const ticker = setInterval(() => {
      if (lastLine !== '') say(`  ${lastLine.slice(0, 100)}`)
    }, 5000)
    const end = (code: number, line: string) => {
      clearInterval(ticker)
      resolve({ code, lastLine: line })
    }
    child.on('error', (error) => {
      end(127, error.message)
    })
    child.on('close', (code) => {
      end(code ?? 1, lastLine)
    })
  })
}
