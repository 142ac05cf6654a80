/** How a file is written in what people copy: from the folder where they are, where it lies in it, else absolute. */
import { isAbsolute, join, relative } from 'node:path'
import type { Config } from '../config/config.ts'

export function shownPath(from: string, path: string): string {
  const short = relative(from, path)
  return short === '' || isAbsolute(short) || short.split(/[\\/]/)[0] === '..' ? path : short
}

/** The `--config` that a command needs to use `config`, as words; none: it finds the file by itself. */
export function configOption({ file }: Pick<Config, 'file'>, cwd: string): string[] {
  return file === null || file === join(cwd, 'limpet.yaml') ? [] : ['--config', shownPath(cwd, file)]
}
