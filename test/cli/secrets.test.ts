/** Whatever is wrong with a configuration, no line says a secret of it. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { stringify } from 'yaml'
import { quietPort } from '../support/port.ts'
import { freshDatabase } from '../support/postgres.ts'
import { install, limpet, startLimpet, type Install } from './cli-stage.ts'

describe('a wrong configuration is told without its secrets', () => {
  let one: Install
  beforeEach(() => (one = install()))
  afterEach(() => one.remove())

  /** What every command that reads the file says; fails if any of it holds a part of a secret, all of which have `hidden` in them. */
  const silent = async (text: string, env: Record<string, string> = {}) => {
    writeFileSync(one.file, text)
    const said = []
    for (const args of [['check-config'], ['migrate'], ['status']]) {
      const { status, out, err } = await limpet(args, { cwd: one.dir, env })
      expect(out + err, `${args.join(' ')}: ${text}`).not.to.match(/hidden|hid%64en/i)
      if (args[0] === 'check-config')
        expect(status, `${args.join(' ')}: ${text} ${JSON.stringify(env)} ${out}`).to.be.above(0)
      said.push(err)
    }
    return said.join('')
  }
  const ours = (settings: object) =>
    stringify({ server_name: 'a.example', signing_key_path: one.key, ...settings })

  it('where it is not YAML', async () => {
    for (const line of [
      'database: *hidden',
      'database: !hidden x',
      'database: !!hidden x',
      'database: |hidden',
      'database: >hidden',
      'database: "hidden',
      'database: "hid\\hidden"',
      'database: postgres://u:hidden@h/d: x',
      'database: @hidden',
      'database: `hidden`',
      'database: %hidden',
      'database: [hidden',
      'database: {hidden',
      'database: &hidden &hidden x',
      'database: ]hidden',
      'database: "a" hidden',
      'tokens: {ingest: {hidden}}',
      'tokens: {ingest: {hidden: }}',
      '%hidden\n---\ndatabase: x',
      'database: - hidden',
      '\tdatabase: hidden',
    ])
      expect(await silent(`server_name: a.example\n${line}\n`)).not.to.equal('')
  })

  it('where a secret has another shape than it should', async () => {
    for (const settings of [
      { database: 'hidden' },
      { database: 'host=/sock password=hidden' },
      { database: 'u:hidden@/db?host=/sock' },
      { database: 'mysql://u:hidden@h/d' },
      { database: 'postgres://u:12/hidden@h/d' },
      { database: 'postgres://u:12?hidden@h/d' },
      { database: 'postgres://u:12#hidden@h/d' },
      { database: ['postgres://u:hidden@h/d'] },
      { database: { url: 'postgres://u:hidden@h/d' } },
      { queue: 'redis://:12/hidden@h:1' },
      { queue: 'redis://:a,hidden@h:1' },
      { queue: 'http://:hidden@h' },
      { tokens: { ingest: 'hidden hidden' } },
      { tokens: { ingest: { ann: 'hidden hidden' } } },
      { tokens: { ingest: ['hidden'] } },
      { tokens: { ingest: 'hidden1', read: 'hidden1' } },
      { metrics: { token: 'hidden ä' } },
      { sources: { synapse: { database: 'hidden', redis: 'hidden' } } },
      { database_path: 'postgres://u:hidden@h/d' },
      { queue_path: 'redis://:hidden@h' },
      { signing_key_path: 'ed25519 a_b hiddenhiddenhiddenhiddenhiddenhiddenhidden1' },
    ])
      expect(await silent(ours(settings))).not.to.equal('')
    for (const env of [
      { LIMPET_DATABASE: 'hidden' },
      { LIMPET_TOKENS__INGEST: '!hidden' },
      { LIMPET_TOKENS__INGEST: '{ann: *hidden}' },
      { LIMPET_TOKENS__INGEST: '"hidden' },
      { LIMPET_QUEUE: '["redis://:hidden@h"]' },
    ])
      expect(await silent(ours({}), env)).not.to.equal('')
  })

  it('where the file of a secret is damaged', async () => {
    const file = join(one.dir, 'secret')
    for (const text of [
      'ann: hidden\n bob: "hidden',
      'ann: *hidden',
      'ann: !hidden x',
      'ann: |hidden',
      '- a: hidden',
    ]) {
      writeFileSync(file, text)
      expect(await silent(ours({ tokens: { ingest_path: 'secret' } }))).not.to.equal('')
    }
    mkdirSync(join(one.dir, 'limpet-data'))
    for (const text of ['ingest: "hidden', 'ingest: *hidden', 'ingest: !hidden x', 'hidden']) {
      writeFileSync(join(one.dir, 'limpet-data', 'tokens.yaml'), text, { mode: 0o600 })
      expect(await silent(ours({}))).not.to.equal('')
    }
  })

  it('where what it leads to does not answer, or refused the login', async () => {
    const { url } = await freshDatabase()
    const port = await quietPort()
    const { port: open } = new URL(url)
    for (const database of [
      `postgres://u:hidden@127.0.0.1:${port}/d`,
      `postgres://u:hid%64en%2F%40@127.0.0.1:${port}/d`,
      `postgres://127.0.0.1:${port}/d?user=u&password=hidden`,
      `postgres:///d?host=127.0.0.1&port=${port}&user=u&password=hidden`,
      `postgres:///d?host=/nowhere&user=u&password=hidden`,
      `postgres://u:hidden@/d?host=/nowhere`,
      `postgres://u:hidden@no-such-host.invalid/d`,
      `postgres://limpet:hidden@127.0.0.1:${open}/d`,
      `postgres://limpet:hidden@127.0.0.1:${port}/d?sslrootcert=/nowhere`,
      `postgres://limpet:x@127.0.0.1:${port}/d?sslpassword=hidden`,
    ])
      expect(await silent(ours({ database }))).to.match(/can't be (?:used|reached)|refused the login/)
    for (const queue of [
      `redis://:hidden@127.0.0.1:${port}`,
      `redis://127.0.0.1:${port}?password=hidden`,
      `redis://127.0.0.1:${port}/3?username=u&password=hid%64en`,
      `redis://u:hidden@no-such-host.invalid`,
      `redis://u:hidden@127.0.0.1:${port},redis://u:hidden@127.0.0.1:${port}`,
    ]) {
      writeFileSync(one.file, ours({ database: url, queue }))
      const { out, err } = await limpet(['check-config'], { cwd: one.dir })
      expect(out + err)
        .to.match(/the queue at .* can't be reached/)
        .and.not.to.match(/hidden|hid%64en/)
    }
  }).timeout(240_000)

  it('by a running daemon, with everything it logs', async () => {
    const { url } = await freshDatabase()
    const port = await quietPort()
    writeFileSync(
      one.file,
      ours({
        log: { level: 'trace' },
        database: url,
        tokens: { ingest: 'hidden-1', read: 'hidden-2', admin: 'hidden-3' },
        queue: `redis://127.0.0.1:${port}?password=hidden`,
      }),
    )
    const daemon = startLimpet(['run'], { cwd: one.dir })
    expect(await daemon.ended).to.equal(1)
    expect(daemon.out + daemon.err)
      .to.match(/the queue at .* can't be reached/)
      .and.not.to.match(/hidden/)
  })
})
