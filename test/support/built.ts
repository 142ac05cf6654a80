/**
 * limpet as users have it: JavaScript, without looking at types (`npm run check` does that). The loader that lets the tests
 * run TypeScript costs a process more than a second of computing before it does anything, and wraps every function that is made.
 *
 * `builtMain` joins our files and those of the packages into a few: to find, read and compile a thousand files is most of what
 * a start computes, and the tests start limpet more than a hundred times. Each file for itself, as `npm run build` has it: `../bench/build.ts`.
 */
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { leaveBehind } from './leftovers.ts'

/** The checkout that this file is in. */
export const HERE = fileURLToPath(new URL('../../', import.meta.url))
let main: string | undefined

/** The file to run: `node MAIN run --config …`. Built once in each process that asks. */
export function builtMain(): string {
  main ??= bundle(HERE)
  return main
}

/** What CommonJS packages expect to be there. */
const REQUIRE = `import { createRequire as requireFrom } from 'node:module';const require = requireFrom(import.meta.url);`

/** `src/main.ts` and all that it imports, where `src` is: what is loaded only when needed stays so. */
function bundle(root: string): string {
  const target = makeTarget(root)
  buildSync({
    absWorkingDir: root,
    entryPoints: ['src/main.ts'],
    outbase: '.',
    outdir: target,
    // What is found by a file's own place (`../../migrations`) is sought from a folder of `src`.
    chunkNames: 'src/joined/[name]-[hash]',
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    // Less to read. Names stay, so that a stack can be read.
    minifyWhitespace: true,
    legalComments: 'none',
    banner: { js: REQUIRE },
    logLevel: 'warning',
  })
  return join(target, 'src/main.js')
}

/** What `GET /openapi.json` serves. */
const REFERENCE = 'docs/openapi.json'

/** A folder that goes with the run, with all that the program looks for beside its own files. */
export function makeTarget(root: string): string {
  const target = mkdtempSync(join(tmpdir(), 'limpet-built-'))
  const remove = () => rmSync(target, { recursive: true, force: true })
  leaveBehind({ clear: () => Promise.resolve().then(remove), kill: remove })
  cpSync(join(root, 'migrations'), join(target, 'migrations'), { recursive: true })
  // Older checkouts have none.
  if (existsSync(join(root, REFERENCE))) cpSync(join(root, REFERENCE), join(target, REFERENCE))
  cpSync(join(root, 'package.json'), join(target, 'package.json'))
  symlinkSync(join(root, 'node_modules'), join(target, 'node_modules'))
  return target
}
