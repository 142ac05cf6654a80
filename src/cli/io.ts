/** What a command has to do with the world outside: where it writes, which environment and folder it starts from. */
export interface Io {
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
}

export interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean
}
