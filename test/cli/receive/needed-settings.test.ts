import { execFileSync } from 'node:child_process'
import { expect } from 'chai'
import { parse } from 'yaml'
import { feedCommand } from '../../../src/cli/receive/first-event.ts'
import { asEnvironment, asYaml, neededSettings } from '../../../src/cli/receive/needed-settings.ts'
import { loadConfig } from '../../../src/config/config.ts'
import { makeVetDomain } from '../../../src/allow/domains.ts'
import { parseServerName } from '../../../src/matrix/ids.ts'

const to = { serverName: '127.0.0.1:8449', address: '127.0.0.1', port: 8449 }
const withEnv = (env: Record<string, string> = {}) =>
  loadConfig({ cwd: '/nowhere', env: { LIMPET_SERVER_NAME: 'example.org', ...env } })
const inFolder = (ca: string) => ({ ...to, caPath: `/nowhere/${ca}`, caShown: ca })
/** The variables, as a shell reads them. */
function variables(words: readonly string[]): Record<string, string> {
  const text = execFileSync('sh', ['-c', `${words.join(' ')} env -0`], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] },
  })
  return Object.fromEntries(
    text
      .split('\0')
      .filter((one) => one.startsWith('LIMPET_'))
      .map((one) => one.split(/=(.*)/s).slice(0, 2) as [string, string]),
  )
}

describe('the settings with which limpet reaches a server on loopback', () => {
  const cases: Record<string, [Record<string, string>, string, string[]]> = {
    'of a new install': [{}, 'd/receive/ca.pem', ['custom_ca_paths', 'ip_allowlist']],
    'below a folder with an odd name': [{}, "it's, here/ca.pem", ['custom_ca_paths', 'ip_allowlist']],
    'beside those that there are': [
      { LIMPET_FEDERATION__CUSTOM_CA_PATHS: '[other.pem]', LIMPET_FEDERATION__IP_ALLOWLIST: '["::1"]' },
      'ca.pem',
      ['custom_ca_paths', 'ip_allowlist'],
    ],
    'where lists of names and a proxy stand in the way': [
      {
        LIMPET_FEDERATION__DOMAIN_ALLOWLIST: '[matrix.org]',
        LIMPET_FEDERATION__DOMAIN_DENYLIST: '["127.*", b.example]',
        LIMPET_FEDERATION__PROXY: 'http://proxy.example:3128',
      },
      'ca.pem',
      ['custom_ca_paths', 'ip_allowlist', 'domain_allowlist', 'domain_denylist', 'no_proxy'],
    ],
  }
  for (const [what, [env, ca, keys]] of Object.entries(cases)) {
    it(`${what}: as variables and as YAML alike, after which nothing is needed`, () => {
      const before = withEnv(env)
      const needed = neededSettings(before, inFolder(ca))
      expect(Object.keys(needed)).to.deep.equal(keys)
      const after = withEnv({ ...env, ...variables(asEnvironment(needed)) })
      expect(neededSettings(after, inFolder(ca))).to.deep.equal({})
      expect(after.federation.custom_ca_paths).to.include(`/nowhere/${ca}`)
      expect(after.federation.custom_ca_paths).to.include.members([...before.federation.custom_ca_paths])
      expect(after.federation.ip_allowlist).to.include.members([...before.federation.ip_allowlist])
      const { domain_allowlist: allowlist, domain_denylist: denylist } = after.federation
      expect(makeVetDomain({ allowlist, denylist })(parseServerName(to.serverName)!)).to.equal(null)
      expect((parse(asYaml(needed).join('\n')) as { federation: object }).federation).to.deep.equal({
        ...needed,
      })
    })
  }

  const fed = (env: Record<string, string>) => feedCommand(withEnv(env), '/nowhere/e.json', (path) => path)
  for (const [listen, place] of [
    ['{port: 8469}', / http:\/\/127\.0\.0\.1:8469\/v1\/ingest$/],
    ['{host: "::", port: 1}', / 'http:\/\/\[::1\]:1\/v1\/ingest'$/],
    ['[{port: 1, serve: [admin]}, {port: 2}]', / http:\/\/127\.0\.0\.1:2\/v1\/ingest$/],
    ['{socket: "a b.sock"}', / --unix-socket '\/nowhere\/a b\.sock' http:\/\/localhost\/v1\/ingest$/],
  ] as const) {
    it(`and the command that feeds it goes to ${listen}`, () => {
      expect(fed({ LIMPET_LISTEN: listen })).to.deep.include({ note: null })
      expect(fed({ LIMPET_LISTEN: listen }).command).to.match(place)
    })
  }

  it('says what a person has to put in: a port that changes, a token of the configuration', () => {
    const { command, note } = fed({ LIMPET_LISTEN: '{port: 0}', LIMPET_TOKENS__INGEST: 'one-of-my-own' })
    expect(command)
      .to.include('Bearer $INGEST"')
      .and.to.match(/ http:\/\/127\.0\.0\.1:PORT\/v1\/ingest$/)
    expect(note).to.match(/^PORT is .*; INGEST is /)
    expect(fed({ LIMPET_LISTEN: '{port: 1, serve: [admin]}' }).note).to.match(/^HOST:PORT is /)
  })
})
