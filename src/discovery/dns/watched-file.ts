/**
 * A small file of the system, read again when it changed.
 *
 * Whether it changed is looked up at most every `everyMs` and costs one `stat`. It is read without libuv's threads: those may all be busy,
 * and waiting for one would count as somebody's time-out. A file that is not there, or can't be read, is an empty one.
 */
import { readFileSync, statSync } from 'node:fs'
import type { Clock } from '../../pace/clock.ts'

export interface WatchedFile<T> {
  /** The same object for as long as the text is the same. */
  read(): T
}

export interface WatchedFileNeeds<T> {
  readonly path: string
  readonly parse: (text: string) => T
  readonly clock: Clock
  readonly everyMs: number
}

/** Two changes within one tick of the file system's clock look like one; so what is younger than this is read again. */
const SETTLED_MS = 2_000

export function watchFile<T>({ path, parse, clock, everyMs }: WatchedFileNeeds<T>): WatchedFile<T> {
  let text: string | null = null
  let mark = ''
  let parsed: T | null = null
  let lookedMs = -Infinity

  function look(): T {
    const now = markOf(path)
    if (parsed !== null && now === mark) return parsed
    mark = now
    const before = text
    text = textOf(path)
    if (parsed === null || text !== before) parsed = parse(text)
    return parsed
  }

  return {
    read() {
      const nowMs = clock.monotonic()
      if (parsed !== null && nowMs - lookedMs < everyMs) return parsed
      lookedMs = nowMs
      return look()
    },
  }
}

/** What is different when a file is another one; different each time where that can't be told yet. */
function markOf(path: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(path)
    const young = Math.abs(Date.now() - mtimeMs) < SETTLED_MS
    return `${ino} ${size} ${mtimeMs}${young ? ` ${performance.now()}` : ''}`
  } catch {
    return 'none'
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
