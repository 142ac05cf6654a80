/** What a daemon loads, and what it leaves to the commands that need it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect } from 'chai'
import { freshDatabase } from '../support/postgres.ts'
import { until } from '../support/poll.ts'
import { install, startLimpet } from './cli-stage.ts'

/** A module that writes into `file` whatever its process loads, one a line. */
const recorder = (file: string) => `
import { appendFileSync } from 'node:fs'
import { createRequire, register } from 'node:module'
const hooks = \`
  import { appendFileSync } from 'node:fs'
  export function load(url, context, next) {
    appendFileSync(${JSON.stringify(file)}, url + '\\\\n')
    return next(url, context)
  }\`
register('data:text/javascript,' + encodeURIComponent(hooks))
const { cache } = createRequire(import.meta.url)
process.on('exit', () => appendFileSync(${JSON.stringify(file)}, Object.keys(cache).join('\\n')))
`

describe('what a daemon loads', function () {
  this.timeout(120_000)

  it('is neither what `simulate` needs nor what makes a log readable', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'limpet-loads-'))
    const one = install({ database: (await freshDatabase()).url })
    try {
      const file = join(folder, 'loaded')
      const module = join(folder, 'recorder.mjs')
      writeFileSync(module, recorder(file))
      const env = { NODE_OPTIONS: `--import ${pathToFileURL(module).href}` }
      const run = startLimpet(['run', '--listen', 'none'], { cwd: one.dir, env })
      await until(() => run.out.includes('limpet runs'), { what: 'limpet to run', withinMs: 60_000 })
      run.child.kill('SIGTERM')
      expect(await run.ended, run.err).to.equal(0)

      const loaded = readFileSync(file, 'utf8').split('\n')
      const among = (part: string) => loaded.filter((path) => path.includes(part))
      // The record is one: what is imported stands in it, and what is required from there.
      for (const there of ['/src/daemon.js', '/node_modules/fastify/', '/node_modules/pg/'])
        expect(among(there), there).not.to.deep.equal([])
      const elsewhere = ['/node_modules/pino-pretty/', '/src/cli/simulate.js', '/src/simulate/certs.js']
      for (const part of [...elsewhere, '/src/simulate/fleet.js', '/node_modules/tsx/', '/node_modules/got/'])
        expect(among(part), part).to.deep.equal([])
    } finally {
      one.remove()
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
