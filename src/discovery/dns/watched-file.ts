/**
 * A small file of the system, read again when it changed.
 *
 * Whether it changed is looked up at most every `everyMs` and costs one `stat`. It is read without libuv's threads: those may all be busy,
 * and waiting for one would count as somebody's time-out. A file that is not there is an empty one. If one that is there can't be read
 * (no descriptor left, say), what it said before counts on, and the next look tries again.
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

const NOT_THERE = 'not there'

export function watchFile<T>({ path, parse, clock, everyMs }: WatchedFileNeeds<T>): WatchedFile<T> {
  let text = ''
  let mark = ''
  let parsed: T | null = null
  let lookedMs = -Infinity

  function look(): T {
    const now = markOf(path)
    if (parsed !== null && now === mark) return parsed
    const read = now === NOT_THERE ? '' : textOf(path)
    mark = read === null ? '' : now
    if (parsed !== null && (read === null || read === text)) return parsed
    text = read ?? ''
    parsed = parse(text)
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

/** What is different when it was written, or is another file. */
function markOf(path: string): string {
  try {
    const { ctimeMs, size, ino } = statSync(path)
    return `${ino} ${size} ${ctimeMs}`
  } catch {
    return NOT_THERE
  }
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
