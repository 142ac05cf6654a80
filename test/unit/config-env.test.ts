import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { loadConfig } from '../../src/config.ts'

describe('settings from the environment', () => {
  let dir: string
  before(() => (dir = mkdtempSync(join(tmpdir(), 'limpet-config-'))))
  after(() => rmSync(dir, { recursive: true, force: true }))

  const load = (yaml: string, env: Record<string, string>) => {
    const file = join(dir, 'limpet.yaml')
    writeFileSync(file, `server_name: a.example\n${yaml}`)
    return loadConfig({ file, env })
  }

  it('beat the file', () => {
    const { federation } = load('federation: {max_pdus: 10, max_edus: 11}', {
      LIMPET_FEDERATION__MAX_PDUS: '20',
    })
    expect(federation).to.include({ max_pdus: 20, max_edus: 11 })
  })

  it('reach settings at every depth, also of one listener', () => {
    const config = load('', { LIMPET_FEDERATION__BACKOFF__JITTER: '0.5', LIMPET_LISTEN__PORT: '0' })
    expect(config.federation.backoff.jitter).to.equal(0.5)
    expect(config.listen).to.deep.include({
      host: '127.0.0.1',
      port: 0,
      serve: ['ingest', 'admin', 'metrics'],
    })
  })

  it('are read as YAML where a setting is no text, and as they stand where it is', () => {
    const config = load('', {
      LIMPET_AUTO_MIGRATE: 'false',
      LIMPET_STICKY__FIELD_NAMES: '[one, two]',
      LIMPET_LISTEN: '[{port: 1}, {socket: /s}]',
      LIMPET_TOKENS__INGEST: '123456',
      LIMPET_TOKENS__ADMIN: '{ann: "1", bob: "2"}',
      LIMPET_LOG__PRETTY: 'false',
    })
    expect(config.auto_migrate).to.equal(false)
    expect(config.sticky.field_names).to.deep.equal(['one', 'two'])
    expect(config.listen).to.have.length(2)
    expect(config.tokens.ingest).to.deep.equal([{ name: 'ingest', token: '123456' }])
    expect(config.tokens.admin).to.have.length(2)
    expect(config.log.pretty).to.equal(false)
  })

  it('beat the other spelling of a secret that the file has, a path to where it stands', () => {
    const config = load('database_path: /nowhere', { LIMPET_DATABASE: 'postgres://h/d' })
    expect(config.database).to.deep.equal({ kind: 'url', url: 'postgres://h/d' })
    const secret = join(dir, 'url')
    writeFileSync(secret, 'postgres://h/e\n')
    const other = load('database: embedded', { LIMPET_DATABASE_PATH: secret })
    expect(other.database).to.deep.equal({ kind: 'url', url: 'postgres://h/e' })
  })

  it('are refused with the name of the variable', () => {
    expect(() => load('', { LIMPET_FEDERATION__MAX_PDUS: '60' })).to.throw(
      'federation.max_pdus (LIMPET_FEDERATION__MAX_PDUS): must not be above 50',
    )
    expect(() => load('', { LIMPET_FEDERATON__MAX_PDUS: '6' })).to.throw('LIMPET_FEDERATON__MAX_PDUS')
    expect(() => load('', { LIMPET_DATABASE: '' })).to.throw('LIMPET_DATABASE: is empty')
    expect(() => load('listen: [{port: 1}]', { LIMPET_LISTEN__PORT: '2' })).to.throw(
      'LIMPET_LISTEN__PORT: listen is no section',
    )
  })

  it('are not what Kubernetes sets beside a service called limpet, nor switches of the test suite', () => {
    load('', {
      LIMPET_SERVICE_HOST: '10.0.0.1',
      LIMPET_SERVICE_PORT: '8469',
      LIMPET_SERVICE_PORT_HTTP: '8469',
      LIMPET_PORT: 'tcp://10.0.0.1:8469',
      LIMPET_PORT_8469_TCP_ADDR: '10.0.0.1',
      LIMPET_REQUIRE_REDIS: '1',
    })
  })
})
