import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { ConfigError, loadConfig, withTokens } from '../../src/config/config.ts'
import { complainOfOpenFile } from '../../src/config/exposed.ts'
import { refuseOpenTlsKeys } from '../../src/config/files.ts'
import { closeDataDir } from '../../src/config/folder.ts'
import { readSecretFile } from '../../src/config/secrets.ts'

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
    expect(() => load('queue: postgres\nqueue_path: wrong')).to.throw(
      'queue: is set together with queue_path',
    )
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

  const readKeyFile = (path: string) => readSecretFile(path, 'signing_key_path')

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
          `signing_key_path: ${path} is open to others (mode 0${mode.toString(8)}); run: chmod 600 ${path} (or 640 if its group must read it; for a mounted secret: \`mode: 0440\` with \`gid\` (Docker), \`defaultMode: 0440\` with \`fsGroup\` (Kubernetes))`,
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

  it('are refused where others may read or write the file, whichever secret it is', () => {
    for (const mode of [0o644, 0o604, 0o602]) {
      put('db', 'postgres://u:p@h/d', mode)
      put('queue', 'redis://:p@h', mode)
      put('token', 'abc', mode)
      const open = `is open to others (mode 0${mode.toString(8)}); run: chmod 600 `
      for (const [key, yaml] of [
        ['database_path', 'database_path: db'],
        ['queue_path', 'queue_path: queue'],
        ['tokens.ingest_path', 'tokens: {ingest_path: token}'],
        ['tokens.read_path', 'tokens: {read_path: token}'],
        ['tokens.admin_path', 'tokens: {admin_path: token}'],
        ['metrics.token_path', 'metrics: {token_path: token}'],
        ['sources.synapse.database_path', 'sources: {synapse: {database_path: db}}'],
        ['sources.synapse.redis_path', 'sources: {synapse: {database: "postgres://h/d", redis_path: queue}}'],
      ] as const)
        expect(() => load(yaml), `${key} ${mode.toString(8)}`)
          .to.throw(ConfigError, `${key}: `)
          .with.property('message')
          .include(open)
    }
    put('db', 'postgres://u:p@h/d', 0o640)
    load('database_path: db')
  })

  it('are refused where others may read the generated tokens', () => {
    withTokens(load(), randomBytes)
    chmodSync(join(dir, 'limpet-data', 'tokens.yaml'), 0o644)
    expect(() => load()).to.throw(
      ConfigError,
      /^tokens: .*tokens\.yaml is open to others \(mode 0644\); run: chmod 600 /,
    )
  })

  it('are refused where others may read a key of TLS', () => {
    const key = put('tls.key', 'x', 0o644)
    for (const [name, yaml] of [
      ['database', `database: postgres://u@h/d?sslkey=${key}`],
      ['sources.synapse.database', `sources: {synapse: {database: "postgres://u@h/d?sslkey=${key}"}}`],
    ] as const) {
      expect(() => refuseOpenTlsKeys(load(yaml))).to.throw(
        ConfigError,
        `${name}: ${key} is open to others (mode 0644)`,
      )
      chmodSync(key, 0o640)
      refuseOpenTlsKeys(load(yaml))
      chmodSync(key, 0o644)
    }
  })

  describe('the configuration file', () => {
    const complaint = (yaml: string, mode: number) => complainOfOpenFile(put('limpet.yaml', yaml, mode))

    for (const [key, yaml] of [
      ['database', 'database: postgres://u:p@h/d'],
      ['database', 'database: postgres://h/d?password=p'],
      ['queue', 'queue: redis://:p@h'],
      ['tokens.read', 'tokens: {read: {ann: abc}}'],
      ['metrics.token', 'metrics: {token: abc}'],
      ['sources.synapse.redis', 'sources: {synapse: {redis: "redis://:p@h"}}'],
    ] as const)
      it(`is complained of where others read in it: ${yaml}`, () => {
        const file = join(dir, 'limpet.yaml')
        expect(complaint(yaml, 0o644)).to.equal(
          `${file} holds ${key} and can be read by any user (mode 0644); run: chmod 600 ${file} (or 640 if its group must read it)`,
        )
        expect(complaint(yaml, 0o640)).to.equal(null)
      })

    it('may be read by anybody where it holds no secret', () => {
      for (const yaml of [
        '',
        'database: postgres://u@h/d',
        'database_path: db',
        'queue: postgres',
        'database: embedded',
      ])
        expect(complaint(yaml, 0o644), yaml).to.equal(null)
    })

    it('may be changed by nobody else', () => {
      expect(complaint('', 0o646)).to.match(/can be changed by any user \(mode 0646\); run: chmod 600/)
    })
  })

  describe('data_dir', () => {
    const modeOf = (path: string) => statSync(path).mode & 0o777

    it('is made for its owner alone, by every command', () => {
      const before = process.umask(0)
      try {
        withTokens(load(), randomBytes)
        closeDataDir(join(dir, 'another'))
      } finally {
        process.umask(before)
      }
      expect(modeOf(join(dir, 'limpet-data'))).to.equal(0o700)
      expect(modeOf(join(dir, 'another'))).to.equal(0o700)
    })

    it('is closed where others can get in, and left to its group', () => {
      for (const [mode, after] of [
        [0o755, 0o700],
        [0o711, 0o700],
        [0o777, 0o700],
        [0o750, 0o750],
        [0o700, 0o700],
      ] as const) {
        chmodSync(dir, mode)
        const said = closeDataDir(dir)
        expect(modeOf(dir), mode.toString(8)).to.equal(after)
        expect(said === null).to.equal(mode === after)
      }
    })

    it('is refused where it belongs to somebody else', function () {
      if (process.getuid?.() !== 0) this.skip()
      const mine = (uid: number, mode: number, work: () => void) => {
        chownSync(dir, uid, 0)
        chmodSync(dir, mode)
        process.seteuid?.(64123)
        try {
          work()
        } finally {
          process.seteuid?.(0)
        }
      }
      mine(64124, 0o777, () =>
        expect(() => closeDataDir(dir)).to.throw(
          ConfigError,
          /^data_dir: .* belongs to user id 64124.*run: chown 64123/,
        ),
      )
      mine(0, 0o777, () => expect(() => closeDataDir(dir)).to.throw(ConfigError, 'any user may write to it'))
      // A volume of Kubernetes: root's, and its group is the daemon's.
      mine(0, 0o775, () => expect(closeDataDir(dir)).to.equal(null))
      chownSync(dir, 0, 0)
    })
  })
})
