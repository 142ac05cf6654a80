/**
 * limpet for tests that start it as a process of its own: JavaScript, as users have it. The loader that lets the tests
 * run TypeScript costs each process more than a second of computing before it does anything.
 *
 * Built once in each process that asks, file by file and without looking at types (`npm run check` does that).
 */
import {
  cpSync,
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

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const FOLDERS = ['src', 'queues']
let main: string | undefined

/** The file to run: `node MAIN run --config …`. */
export function builtMain(): string {
  main ??= build()
  return main
}

function build(): string {
  const folder = mkdtempSync(join(tmpdir(), 'limpet-built-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  leaveBehind({ clear: () => Promise.resolve().then(remove), kill: remove })
  const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), (file) => readFileSync(file, 'utf8')) as {
    config: object
  }
  const { options } = ts.parseJsonConfigFileContent({ ...config, files: [], include: [] }, ts.sys, ROOT)
  // A single file can't tell of which kind its package is.
  const compilerOptions = { ...options, sourceMap: false, module: ts.ModuleKind.ESNext }
  for (const name of FOLDERS.flatMap(sources)) {
    const { outputText } = ts.transpileModule(readFileSync(join(ROOT, name), 'utf8'), {
      compilerOptions,
      fileName: name,
    })
    const target = join(folder, name.replace(/\.ts$/, '.js'))
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, outputText)
  }
  cpSync(join(ROOT, 'migrations'), join(folder, 'migrations'), { recursive: true })
  cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'))
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  return join(folder, 'src/main.js')
}

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(folder, name))
}
