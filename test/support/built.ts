/**
 * limpet as users have it: JavaScript, the same that `tsc` makes, file by file and without looking at types (`npm run check`
 * does that). The loader that lets the tests run TypeScript costs a process more than a second of computing
 * before it does anything, and wraps every function that is made.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { leaveBehind } from './leftovers.ts'

/** The checkout that this file is in. */
export const HERE = fileURLToPath(new URL('../../', import.meta.url))
let main: string | undefined

/** The file to run: `node MAIN run --config …`. Built once in each process that asks. */
export function builtMain(): string {
  main ??= build(HERE, ['src', 'queues'])('src/main.ts')
  return main
}

/**
 * Builds folders of a checkout, into a folder that goes with the run.
 * @returns where a source file went: `built('src/main.ts')`
 */
export function build(root: string, folders: readonly string[]): (source: string) => string {
  const target = mkdtempSync(join(tmpdir(), 'limpet-built-'))
  const remove = () => rmSync(target, { recursive: true, force: true })
  leaveBehind({ clear: () => Promise.resolve().then(remove), kill: remove })
  const built = (source: string) => join(target, source.replace(/\.ts$/, '.js'))
  const compilerOptions = optionsOf(root)
  for (const fileName of folders.flatMap((folder) => sources(root, folder))) {
    const text = readFileSync(join(root, fileName), 'utf8')
    mkdirSync(dirname(built(fileName)), { recursive: true })
    writeFileSync(built(fileName), ts.transpileModule(text, { compilerOptions, fileName }).outputText)
  }
  cpSync(join(root, 'migrations'), join(target, 'migrations'), { recursive: true })
  cpSync(join(root, 'package.json'), join(target, 'package.json'))
  symlinkSync(join(root, 'node_modules'), join(target, 'node_modules'))
  return built
}

function optionsOf(root: string): ts.CompilerOptions {
  const read = ts.readConfigFile(join(root, 'tsconfig.json'), (file) => readFileSync(file, 'utf8'))
  const config = read.config as object
  const { options } = ts.parseJsonConfigFileContent({ ...config, files: [], include: [] }, ts.sys, root)
  // A single file can't tell of which kind its package is.
  return { ...options, sourceMap: false, module: ts.ModuleKind.ESNext }
}

function sources(root: string, folder: string): string[] {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
}
