/**
 * What `limpet simulate` shows while it runs: on a terminal a table that is redrawn, elsewhere plain lines.
 *
 * Both go to standard error, because the output of a run is its verdict.
 */
import type { DestinationsAnswer } from '../admin/answers.ts'
import { cut, lengthOf } from '../admin/letters.ts'
import { draw as drawOn, type Io, type Output } from '../io.ts'
import { screenOf, withoutTints, writeTinted } from '../screen.ts'
import { picture, progressLine } from './picture.ts'
import type { Shown } from './picture.ts'

export interface Live {
  /** One line about what happens now. */
  tell(line: string): void
  /** From here on there is something to show. */
  watch(what: WatchedRun): void
  /** Leaves the last picture as it is. */
  end(): void
}

export interface WatchedRun extends Shown {
  /** Asks limpet's admin API. */
  readonly get: (path: string) => Promise<unknown>
}

const DRAW_MS = 500
const LINE_MS = 5000
/** Lines of a terminal that does not know its size. */
const USUAL_ROWS = 24

export function makeLive(output: Output, env: Io['env'], now: () => number): Live {
  const began = now()
  const seconds = () => `${((now() - began) / 1000).toFixed(1).padStart(6)} s`
  const terminal = output.isTTY === true
  let watched: WatchedRun | null = null
  let timer: NodeJS.Timeout | undefined
  let drawn = 0
  let asking = false
  const states = new Map<string, string>()

  function tell(line: string): void {
    erase()
    output.write(`${seconds()}  ${line}\n`)
    draw()
  }
  function erase(): void {
    if (drawn > 0) drawOn(output, `\u001b[${drawn}A\u001b[J`)
    drawn = 0
  }
  function draw(): void {
    if (!terminal || watched === null) return
    const { width, height, tint } = screenOf(output, env)
    const columns = (output.columns ?? 0) > 0 ? (output.columns ?? 0) : width
    const rows = Number.isFinite(height) ? height : USUAL_ROWS
    const lines = picture(watched, states, { width, height: rows, tint })
    erase()
    // A line that the terminal breaks would be two to go back over.
    const fitting = (line: string) => {
      const bare = withoutTints(line)
      return lengthOf(bare) > columns ? cut(bare, columns) : line
    }
    writeTinted(output, `${lines.map(fitting).join('\n')}\n`)
    drawn = lines.length
  }
  async function ask({ get }: WatchedRun): Promise<void> {
    if (asking) return
    asking = true
    try {
      const { destinations } = (await get('/v1/destinations?limit=1000')) as DestinationsAnswer
      for (const { destination, state } of destinations) states.set(destination, state)
    } catch {
      // Whether limpet answers is the story's concern; here the old state stays.
    }
    asking = false
  }

  return {
    tell,
    watch(what) {
      watched = what
      if (terminal) void ask(what).then(draw)
      timer = setInterval(
        () => {
          if (terminal) void ask(what).then(draw)
          else tell(progressLine(what))
        },
        terminal ? DRAW_MS : LINE_MS,
      )
    },
    end() {
      clearInterval(timer)
      draw()
      watched = null
      drawn = 0
    },
  }
}
