/** A hook of Node's for loading modules: TypeScript without its types, line by line where it was. */
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { transform } from 'esbuild'

const OPTIONS = {
  loader: 'ts',
  format: 'esm',
  target: 'node20',
  sourcemap: 'inline',
  sourcesContent: false,
  // An import that is only of types says so (`tsconfig.json`): none is guessed to be one.
  tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
}

export async function load(url, context, next) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return next(url, context)
  const sourcefile = fileURLToPath(url)
  const { code } = await transform(await readFile(sourcefile, 'utf8'), { ...OPTIONS, sourcefile })
  return { format: 'module', source: code, shortCircuit: true }
}
