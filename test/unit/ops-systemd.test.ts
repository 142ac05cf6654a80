import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { exitStatusOf } from '../../src/cli/cli-error.ts'
import { loadConfig } from '../../src/config.ts'
import { skip } from '../support/skip.ts'

const FOLDER = fileURLToPath(new URL('../../ops/systemd', import.meta.url))
const unit = readFileSync(join(FOLDER, 'limpet.service'), 'utf8')

describe('the systemd unit', () => {
  let root: string
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'limpet-systemd-'))
  })
  afterEach(() => rmSync(root, { recursive: true }))

  it('does not start again after a wrong configuration, and does after anything else', () => {
    const wrong = join(root, 'limpet.yaml')
    writeFileSync(wrong, 'frobnicate: 1\n')
    let status = 0
    try {
      loadConfig({ file: wrong, env: {} })
    } catch (error) {
      status = exitStatusOf(error)
    }
    expect(unit).to.match(new RegExp(`^RestartPreventExitStatus=${status}$`, 'm'))
    // That setting looks at the main process alone.
    expect(unit).not.to.match(/^ExecStartPre=/m)
    expect(unit).to.match(/^Restart=always$/m)
    expect(unit).to.match(/^StartLimitIntervalSec=0$/m)
  })

  it('is one that systemd reads without complaint', function () {
    const file = join(root, 'limpet.service')
    // The program is not installed here.
    writeFileSync(file, unit.replace('/usr/bin/node', '/bin/sh'))
    try {
      execFileSync('systemd-analyze', ['--version'], { stdio: 'ignore' })
    } catch {
      skip(this, 'no systemd-analyze')
    }
    const said = execFileSync('sh', ['-c', 'systemd-analyze verify --man=no "$1" 2>&1 || true', 'sh', file])
    const complaints = String(said)
      .split('\n')
      .filter((line) => line.includes('limpet.service'))
    expect(complaints).to.deep.equal([])
  })

  it('is installed by the commands of its README, as they stand there', () => {
    const readme = readFileSync(join(FOLDER, 'README.md'), 'utf8')
    const commands = /```sh\n([^]*?)```/.exec(readme)?.[1] ?? ''
    const checkout = join(root, 'checkout')
    mkdirSync(join(checkout, 'node_modules'), { recursive: true })
    writeFileSync(join(checkout, 'package.json'), '{}')
    writeFileSync(join(checkout, 'signing.key'), 'a key')
    cpSync(FOLDER, join(checkout, 'ops/systemd'), { recursive: true })
    // The machine's own folders, accounts and services are not a test's to change.
    const elsewhere = commands.replace(/(?<=[\s>])\/(?=(opt|etc|var)\/)/g, `${root}/`)
    const stubs = `
      npm() { [ "$*" != "run build" ] || mkdir -p dist/src; }
      useradd() { :; }
      systemctl() { :; }
      install() { command install $(printf '%s ' "$@" | sed 's/-[og] limpet//g'); }`
    execFileSync('bash', ['-euc', `${stubs}\n${elsewhere}`], { cwd: checkout, stdio: 'pipe' })
    const started = /^ExecStart=\S+ (\S+)\/src\/main\.js run --config (\S+)$/m.exec(unit) ?? []
    for (const path of [started[1] ?? '', started[2] ?? '', '/etc/systemd/system/limpet.service'])
      expect(existsSync(join(root, path)), path).to.equal(true)
    const yaml = join(root, started[2] ?? '')
    writeFileSync(yaml, readFileSync(yaml, 'utf8').replaceAll(root, ''))
    const config = loadConfig({ file: yaml, env: {} })
    expect(existsSync(join(root, config.signing_key_path))).to.equal(true)
    expect(unit).to.match(/^StateDirectory=limpet$/m)
    expect(config.data_dir).to.equal('/var/lib/limpet')
  })
})
