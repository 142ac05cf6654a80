import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { sampleConfig } from '../../src/config/sample.ts'
import { loadConfig } from '../../src/config/config.ts'

const EXAMPLES: Record<string, string> = {
  signing_key_path: 'k',
  recovering_concurrency: '256',
  ip_denylist: '[10.0.0.0/8]',
  bodies_bytes: '100000000',
}

describe('the sample configuration', () => {
  let dir: string
  before(() => (dir = mkdtempSync(join(tmpdir(), 'limpet-sample-'))))
  after(() => rmSync(dir, { recursive: true, force: true }))

  const load = (text: string) => {
    const file = join(dir, 'limpet.yaml')
    writeFileSync(file, text)
    return loadConfig({ file, env: {} })
  }
  const sample = sampleConfig({ server_name: 'matrix.example' })

  it('is what the schema says (LIMPET_TEST_UPDATE=1 writes it anew)', () => {
    const file = new URL('../../config.sample.yaml', import.meta.url)
    if (process.env['LIMPET_TEST_UPDATE'] === '1') writeFileSync(file, sample)
    expect(readFileSync(file, 'utf8')).to.equal(sample)
  })

  it('is a valid configuration, and all of it is default', () => {
    expect(load(sample)).to.deep.equal(load('server_name: matrix.example'))
  })

  it('shows the true defaults: with every comment that has a value taken away nothing changes', () => {
    const open = sample.replace(/^( *)#(?=[a-z_]+: \S)/gm, '$1')
    expect(open.match(/^ *[a-z_]+: \S/gm)).to.have.length.above(30)
    expect(load(open)).to.deep.equal(load('server_name: matrix.example'))
  })

  it('names settings without a default as well', () => {
    for (const [key, value] of Object.entries(EXAMPLES)) {
      const set = sample.replace(new RegExp(`^( *)#${key}:$`, 'm'), `$1${key}: ${value}`)
      expect(set, key).not.to.equal(sample)
      load(set)
    }
  })

  it('does not show settings that are for tests', () => {
    expect(sample).not.to.include('lease_ms')
  })
})
