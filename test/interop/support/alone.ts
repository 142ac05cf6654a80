/**
 * Which processes play a story now. One that measures how long something takes plays while nobody else does: it waits until the
 * others have come to the end of their files, and they begin none before it has come to the end of its own.
 *
 * The run has a folder with a file for each process that plays, and one for whoever wants to be alone.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '../../support/poll.ts'

/** Names the folder to the processes that the run starts. Not LIMPET_…: to limpet that would be a setting. */
const FOLDER = 'MOCHA_STORIES'
const ME = `plays-${process.pid}`
const ALONE = 'alone'
/** Longer than any file takes. */
const WAIT_MS = 800_000

let left: (() => void) | null = null

/** Once a run, before any story. */
export function openFolder(): void {
  const folder = mkdtempSync(join(tmpdir(), 'limpet-stories-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  process.env[FOLDER] = folder
}

/** In a `before` hook: waits until this process may play, which it then does until `leave`. */
export async function enter({ alone = false } = {}): Promise<void> {
  const folder = process.env[FOLDER]
  if (folder === undefined || left !== null) return
  const at = (name: string) => join(folder, name)
  const wait = { withinMs: WAIT_MS, everyMs: 100 }
  if (alone) {
    await until(() => make(at(ALONE)), { ...wait, what: 'another story that is alone to end' })
    await until(() => readdirSync(folder).length === 1, { ...wait, what: 'the other stories to end' })
  } else {
    const begun = () => {
      make(at(ME))
      // Looked at after that, so that of two who come at once one sees the other.
      if (!existsSync(at(ALONE))) return true
      rmSync(at(ME))
      return false
    }
    await until(begun, { ...wait, what: 'a story that is alone to end' })
  }
  left = () => rmSync(at(alone ? ALONE : ME), { force: true })
}

/** At the end of a file. */
export function leave(): void {
  left?.()
  left = null
}

/** Whether it was not there. */
function make(file: string): boolean {
  try {
    writeFileSync(file, '', { flag: 'wx' })
    return true
  } catch {
    return false
  }
}
