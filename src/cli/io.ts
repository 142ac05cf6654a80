/** What a command has to do with the world outside: where it writes, which environment and folder it starts from. */
import type { Secrets } from '../observe/secrets.ts'

export interface Io {
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  /** What neither output may show; the code that reads the configuration adds to it. */
  readonly secrets?: Secrets | undefined
}

export interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean
}

/** `io` of which the outputs show none of its secrets. */
export function withoutSecrets(io: Io, secrets: Secrets): Io {
  const hiding = (output: Output): Output => ({
    write: (text) => output.write(secrets.hide(text)),
    ...(output.isTTY === undefined ? {} : { isTTY: output.isTTY }),
  })
  return { ...io, stdout: hiding(io.stdout), stderr: hiding(io.stderr), secrets }
}
