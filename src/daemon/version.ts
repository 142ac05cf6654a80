/** This release's version, from `package.json` (found from `src/daemon/`, from `dist/src/daemon/`, and where all is joined into one file). */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const FILE = ['../package.json', '../../package.json', '../../../package.json']
  .map((path) => fileURLToPath(new URL(path, import.meta.url)))
  .find((path) => existsSync(path))

export const version: string =
  FILE === undefined ? 'unknown' : (JSON.parse(readFileSync(FILE, 'utf8')) as { version: string }).version
