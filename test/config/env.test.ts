import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { loadConfig } from '../../src/config/config.ts'

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
    writeFileSync(secret, 'postgres://h/e\n', { mode: 0o600 })
    const other = load('database: embedded', { LIMPET_DATABASE_PATH: secret })
    expect(other.database).to.deep.equal({ kind: 'url', url: 'postgres://h/e' })
  })

  it('are refused with the name of the variable', () => {
    expect(() => load('', { LIMPET_FEDERATION__MAX_PDUS: '60' })).to.throw(
      'federation.max_pdus (LIMPET_FEDERATION__MAX_PDUS): must be at most 50',
    )
    expect(() => load('', { LIMPET_FEDERATON__MAX_PDUS: '6' })).to.throw('LIMPET_FEDERATON__MAX_PDUS')
    expect(() => load('', { LIMPET_DATABASE: '' })).to.throw('LIMPET_DATABASE: is empty')
    expect(() => load('listen: [{port: 1}]', { LIMPET_LISTEN__PORT: '2' })).to.throw(
      'LIMPET_LISTEN__PORT: listen is not a section',
    )
  })

  it('are not what Kubernetes sets beside services whose names begin with limpet, nor switches of the test suite', () => {
    load('', {
      LIMPET_SERVICE_HOST: '10.0.0.1',
      LIMPET_SERVICE_PORT: '8469',
      LIMPET_SERVICE_PORT_HTTP: '8469',
      LIMPET_PORT: 'tcp://10.0.0.1:8469',
      LIMPET_PORT_8469_TCP: 'tcp://10.0.0.1:8469',
      LIMPET_PORT_8469_TCP_ADDR: '10.0.0.1',
      LIMPET_POSTGRESQL_SERVICE_HOST: '10.0.0.2',
      LIMPET_POSTGRESQL_SERVICE_PORT: '5432',
      LIMPET_POSTGRESQL_SERVICE_PORT_TCP_POSTGRESQL: '5432',
      LIMPET_POSTGRESQL_PORT: 'tcp://10.0.0.2:5432',
      LIMPET_POSTGRESQL_PORT_5432_TCP: 'tcp://10.0.0.2:5432',
      LIMPET_REDIS_MASTER_PORT: 'tcp://[fd00::3]:6379',
      LIMPET_REDIS_MASTER_PORT_6379_TCP: 'tcp://[fd00::3]:6379',
      LIMPET_REDIS_MASTER_PORT_6379_TCP_PROTO: 'tcp',
      LIMPET_REDIS_MASTER_PORT_6379_TCP_PORT: '6379',
      LIMPET_REDIS_MASTER_PORT_6379_TCP_ADDR: 'fd00::3',
      LIMPET_DNS_PORT: 'udp://10.0.0.4:53',
      LIMPET_DNS_PORT_53_UDP_ADDR: '10.0.0.4',
      LIMPET_SIP_PORT_5060_SCTP_ADDR: '10.0.0.5',
      LIMPET_2_SERVICE_HOST: '10.0.0.6',
      // A service may even be called like a section (`limpet-listen`, `limpet-log`), or have two dashes in its name.
      LIMPET_LISTEN_SERVICE_PORT: '8469',
      LIMPET_LOG_SERVICE_HOST: '10.0.0.7',
      LIMPET_A__B_SERVICE_HOST: '10.0.0.8',
      LIMPET_REQUIRE_REDIS: '1',
    })
  })

  it('are still settings where they look a little like what Kubernetes sets, and still refused where they are none', () => {
    expect(load('', { LIMPET_LISTEN__PORT: '1234' }).listen).to.deep.include({
      host: '127.0.0.1',
      port: 1234,
      serve: ['ingest', 'admin', 'metrics'],
    })
    expect(() => load('', { LIMPET_LISTEN__PORT: 'tcp://10.0.0.1:8469' })).to.throw('listen.port')
    for (const [name, value] of Object.entries({
      // One underscore is missing.
      LIMPET_LISTEN_PORT: '8469',
      LIMPET_PORT: '8469',
      LIMPET_SERVICE_NAME: 'x',
      LIMPET_POSTGRESQL_HOST: '10.0.0.2',
      LIMPET_POSTGRESQL_PORT_TCP: 'x',
      LIMPET_SERVICE_HOSTS: '10.0.0.1',
      LIMPET_POSTGRESQL_SERVICE_PORTS: '1',
    }))
      expect(() => load('', { [name]: value }), name).to.throw(`(${name}): unknown setting`)
  })
})
