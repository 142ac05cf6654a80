/** What a command uses of the outside world: where it writes, its environment, and the folder it starts in. */
import { printable, printableJson } from '../observe/printable.ts'
import type { Secrets } from '../observe/secrets.ts'
import type { Network } from '../daemon/open-outbound.ts'

export interface Io {
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** What neither output may show; the code that reads the configuration adds to it. */
  readonly secrets?: Secrets | undefined
  /** How other servers are reached; default: as everywhere. */
  readonly network?: Network | undefined
}

export interface Output {
  write(text: string): unknown
  /** Writes our own control sequences; where it is missing, `write` takes them. */
  draw?(text: string): unknown
  readonly isTTY?: boolean
  /** Of a terminal, as of now; 0 or missing: not known. */
  readonly columns?: number
  readonly rows?: number
  /** Its reader has gone. */
  readonly destroyed?: boolean
}

/** `io` of which the outputs show none of its secrets, and no control characters but those that are drawn. */
export function guarded(io: Io, secrets: Secrets): Io {
  const hiding = (output: Output): Output => ({
    write: (text) => output.write(printable(secrets.hide(text))),
    draw: (text) => output.write(text),
    ...(output.isTTY === undefined ? {} : { isTTY: output.isTTY }),
    // Asked for each time: a window changes its size, and a reader goes.
    get columns() {
      return output.columns ?? 0
    },
    get rows() {
      return output.rows ?? 0
    },
    get destroyed() {
      return output.destroyed === true
    },
  })
  return { ...io, stdout: hiding(io.stdout), stderr: hiding(io.stderr), secrets }
}

/** Moves the cursor of a terminal, or takes back what was drawn. */
export function draw(output: Output, text: string): void {
  if (output.draw === undefined) output.write(text)
  else output.draw(text)
}

/** A value as JSON for people and programs. */
export const jsonText = (value: unknown): string => printableJson(JSON.stringify(value, null, 2))
