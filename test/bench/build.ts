/** Builds what users run, and the benchmark's own processes beside it: file by file, as `npm run build` does, without looking at types. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { HERE, makeTarget } from '../support/built.ts'

/** What the programs of the benchmark import. */
const FOLDERS = ['src', 'queues', 'test/bench', 'test/support']

/** Returns where a source file of the checkout went: `built('src/main.ts')`. */
export const buildCheckout = (root = HERE) => build(root, FOLDERS)

/**
 * Builds folders of a checkout, into a folder that goes with the run.
 * @returns where a source file went: `built('src/main.ts')`
 */
export function build(root: string, folders: readonly string[]): (source: string) => string {
  const target = makeTarget(root)
  const built = (source: string) => join(target, source.replace(/\.ts$/, '.js'))
  const compilerOptions = optionsOf(root)
  for (const fileName of folders.flatMap((folder) => sources(root, folder))) {
    const text = readFileSync(join(root, fileName), 'utf8')
    mkdirSync(dirname(built(fileName)), { recursive: true })
    writeFileSync(built(fileName), ts.transpileModule(text, { compilerOptions, fileName }).outputText)
  }
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
