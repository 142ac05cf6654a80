import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { ConfigError, loadConfig, readKeyFile, withTokens } from '../../src/config.ts'

describe('secrets in files of their own', () => {
  let dir: string
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'limpet-secrets-'))))
  afterEach(() => rmSync(dir, { recursive: true, force: true }))

  const load = (yaml = '') => {
    const file = join(dir, 'limpet.yaml')
    writeFileSync(file, `server_name: a.example\n${yaml}`)
    return loadConfig({ file, env: {} })
  }
  const put = (name: string, text: string, mode = 0o600) => {
    const path = join(dir, name)
    writeFileSync(path, text)
    chmodSync(path, mode)
    return path
  }

  it('are taken for every secret', () => {
    put('db', 'postgres://u:p@h/d\n')
    put('queue', 'redis://h')
    put('one', 'abc\n')
    put('map', 'ann: a1\nbob: b2\n')
    put('metrics', 'm')
    const config = load(`
database_path: db
queue_path: queue
tokens: {ingest_path: one, admin_path: map}
metrics: {token_path: metrics}
sources: {synapse: {database_path: db, redis_path: queue}}`)
    expect(config.database).to.deep.equal({ kind: 'url', url: 'postgres://u:p@h/d' })
    expect(config.queue).to.deep.equal({ kind: 'redis', urls: ['redis://h'] })
    expect(config.tokens.ingest).to.deep.equal([{ name: 'ingest', token: 'abc' }])
    expect(config.tokens.admin).to.deep.equal([
      { name: 'ann', token: 'a1' },
      { name: 'bob', token: 'b2' },
    ])
    expect(config.metrics.token).to.equal('m')
    expect(config.sources.synapse).to.include({ database: 'postgres://u:p@h/d', redis: 'redis://h' })
  })

  it('are refused where they are missing, empty, wrong or there twice, by the name of the key', () => {
    put('empty', '\n')
    put('wrong', 'a b')
    expect(() => load('queue_path: none')).to.throw(ConfigError, /^queue_path: .*none does not exist$/)
    expect(() => load('queue_path: empty')).to.throw(ConfigError, /^queue_path: .* is empty$/)
    expect(() => load('queue_path: wrong')).to.throw(ConfigError, 'queue: must be')
    expect(() => load('queue: postgres\nqueue_path: wrong')).to.throw('queue: is set, and queue_path too')
  })

  it('are made once where tokens are not configured, for their owner only', () => {
    const config = withTokens(load('tokens: {read: r}'), randomBytes)
    expect(config.tokens.read).to.deep.equal([{ name: 'read', token: 'r' }])
    expect(config.tokens.ingest[0]?.token).to.match(/^[\w-]{32}$/)
    expect(config.tokens.ingest[0]?.token).not.to.equal(config.tokens.admin[0]?.token)
    const file = join(dir, 'limpet-data', 'tokens.yaml')
    expect(statSync(file).mode & 0o777).to.equal(0o600)
    // The next start, and every command, finds the same ones.
    expect(load('tokens: {read: r}').tokens).to.deep.equal(config.tokens)
    const text = readFileSync(file, 'utf8')
    expect(withTokens(load('tokens: {read: r}'), randomBytes).tokens).to.deep.equal(config.tokens)
    expect(readFileSync(file, 'utf8')).to.equal(text)
  })

  it('are added where a kind is missing, and those that were there stay', () => {
    const first = withTokens(load('tokens: {read: r}'), randomBytes)
    const second = withTokens(load(), randomBytes)
    expect(second.tokens.ingest).to.deep.equal(first.tokens.ingest)
    expect(second.tokens.read[0]?.token).to.match(/^[\w-]{32}$/)
    expect(statSync(join(dir, 'limpet-data', 'tokens.yaml')).mode & 0o777).to.equal(0o600)
  })

  it('are not looked for when everything is configured', () => {
    const config = load('tokens: {ingest: a, read: b, admin: c}')
    expect(withTokens(config, randomBytes)).to.equal(config)
  })

  it('say so when the file of generated tokens is damaged', () => {
    withTokens(load(), randomBytes)
    put('limpet-data/tokens.yaml', '- what?')
    expect(() => load()).to.throw(ConfigError, /^tokens: .*tokens\.yaml is damaged/)
  })

  describe('the key file', () => {
    it('is read where only its owner and its group may', () => {
      // 0440: a systemd credential, or a Kubernetes secret under an fsGroup; its group is the daemon's own.
      for (const mode of [0o600, 0o400, 0o440, 0o640, 0o660])
        expect(readKeyFile(put('key', 'ed25519 a b\n', mode)), mode.toString(8)).to.equal('ed25519 a b\n')
    })

    for (const mode of [0o644, 0o604, 0o444, 0o404, 0o602]) {
      it(`is refused with mode 0${mode.toString(8)}, with the command that mends it`, () => {
        const path = put('key', 'x', mode)
        expect(() => readKeyFile(path)).to.throw(
          ConfigError,
          `signing_key_path: ${path} is open to others (mode 0${mode.toString(8)}); run: chmod 600 ${path} (or 640, where its group must read it)`,
        )
      })
    }

    it('is refused in one line where it is missing, a folder, or unreadable', () => {
      expect(() => readKeyFile(join(dir, 'none'))).to.throw(
        ConfigError,
        /^signing_key_path: .*none does not exist$/,
      )
      expect(() => readKeyFile(dir)).to.throw(ConfigError, /^signing_key_path: .* is a folder$/)
      const path = put('key', 'x', 0o000)
      // Root may read everything.
      if (process.getuid?.() === 0) expect(readKeyFile(path)).to.equal('x')
      else expect(() => readKeyFile(path)).to.throw(ConfigError, 'permission denied')
    })
  })
})
