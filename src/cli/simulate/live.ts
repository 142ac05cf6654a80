/**
 * What `limpet simulate` shows while it runs: on a terminal a table that is redrawn, elsewhere plain lines.
 *
 * Both go to standard error, because the output of a run is its verdict.
 */
import type { DestinationsAnswer } from '../admin/answers.ts'
import { draw as drawOn, type Output } from '../io.ts'
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
/** Of a terminal that does not know its size. */
const USUAL = { rows: 24, columns: 80 }

export function makeLive(output: Output, now: () => number): Live {
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
    const { rows = 0, columns = 0 } = output
    const size = { rows: rows > 0 ? rows : USUAL.rows, columns: columns > 0 ? columns : USUAL.columns }
    const lines = picture(watched, states, size)
    erase()
    output.write(`${lines.join('\n')}\n`)
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
