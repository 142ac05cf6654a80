import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { exitStatusOf } from '../src/cli/cli-error.ts'
import { loadConfig } from '../src/config/config.ts'
import { commandsOf } from './docs/blocks.ts'
import { skip } from './support/skip.ts'

const FOLDER = fileURLToPath(new URL('../ops/systemd', import.meta.url))
const unit = readFileSync(join(FOLDER, 'limpet.service'), 'utf8')

/** What `systemd-analyze` says; its exit status also counts what is not about this unit. */
function analyze(context: Mocha.Context, args: readonly string[]): string {
  const { error, stdout, stderr } = spawnSync('systemd-analyze', args, { encoding: 'utf8' })
  if (error !== undefined) skip(context, 'no systemd-analyze')
  return stdout + stderr
}

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

  it('has the configuration read again by a signal to limpet alone', () => {
    expect(unit).to.match(/^ExecReload=\/bin\/sh -c 'kill -HUP \$MAINPID'$/m)
  })

  it('takes away what limpet does not need', () => {
    const settings = new Map<string, string[]>()
    for (const [, name = '', value = ''] of unit.matchAll(/^(\w+)=(.*)$/gm))
      settings.set(name, [...(settings.get(name) ?? []), value])
    const expected: Record<string, string | string[]> = {
      CapabilityBoundingSet: '',
      AmbientCapabilities: '',
      NoNewPrivileges: 'yes',
      PrivateUsers: 'yes',
      PrivateTmp: 'yes',
      PrivateDevices: 'yes',
      PrivateMounts: 'yes',
      ProtectSystem: 'strict',
      ProtectHome: 'yes',
      ProtectProc: 'invisible',
      ProcSubset: 'pid',
      ProtectKernelTunables: 'yes',
      ProtectKernelModules: 'yes',
      ProtectKernelLogs: 'yes',
      ProtectControlGroups: 'yes',
      ProtectClock: 'yes',
      ProtectHostname: 'yes',
      RestrictAddressFamilies: 'AF_INET AF_INET6 AF_UNIX',
      RestrictNamespaces: 'yes',
      RestrictRealtime: 'yes',
      RestrictSUIDSGID: 'yes',
      RemoveIPC: 'yes',
      LockPersonality: 'yes',
      SystemCallArchitectures: 'native',
      // Without @pkey Node.js does not even start: V8 calls pkey_alloc. What is taken away comes after what is given.
      SystemCallFilter: ['@system-service @pkey', '~@privileged @resources'],
      SystemCallErrorNumber: 'EPERM',
      UMask: '0077',
      StateDirectoryMode: '0700',
      MemoryMax: '2G',
      IPAddressDeny: '169.254.0.0/16 fe80::/10',
    }
    for (const [name, values] of Object.entries(expected))
      expect(settings.get(name), name).to.deep.equal([values].flat())
  })

  it('is one that systemd reads without complaint', function () {
    const file = join(root, 'limpet.service')
    // The program is not installed here.
    writeFileSync(file, unit.replace('/usr/bin/node', '/bin/sh'))
    const said = analyze(this, ['verify', '--man=no', file])
    expect(said.split('\n').filter((line) => line.includes('limpet.service'))).to.deep.equal([])
  })

  it('exposes little, by the count of systemd-analyze', function () {
    const file = join(FOLDER, 'limpet.service')
    const said = analyze(this, ['security', '--offline=true', '--no-pager', file])
    // `--offline` came with systemd 250.
    if (/unrecognized option/.test(said)) skip(this, 'no systemd-analyze of 250 or newer')
    expect(said).to.match(/Overall exposure level for limpet\.service: \d/)
    // 1.1 with systemd 252: most of what is left is the network and Unix sockets, without which limpet has nothing to do.
    expect(Number(/exposure level for limpet\.service: ([\d.]+)/.exec(said)?.[1])).to.be.at.most(1.3)
  })

  it('is installed by the commands of its README, as they stand there', () => {
    const commands = commandsOf('ops/systemd/README.md').slice(0, 3).join('')
    const folder = join(root, 'folder')
    cpSync(FOLDER, join(folder, 'package/ops/systemd'), { recursive: true })
    mkdirSync(join(folder, 'package/dist/src'), { recursive: true })
    writeFileSync(join(folder, 'signing.key'), 'a key')
    execFileSync('tar', ['-czf', 'limpet-1.2.3.tgz', 'package'], { cwd: folder })
    for (const there of ['usr/local/bin', 'etc/systemd/system', 'var/lib'])
      mkdirSync(join(root, there), { recursive: true })
    // The machine's own folders, accounts and services are not a test's to change.
    const elsewhere = commands.replace(/(?<=[\s>])\/(?=(opt|etc|var|usr\/local)\/)/g, `${root}/`)
    const stubs = `
      npm() { [ "$*" = 'ci --omit=dev --prefix ${root}/opt/limpet' ] && mkdir "$4/node_modules"; }
      useradd() { :; }
      runuser() { [ "$*" = '-u limpet -- limpet check-config' ]; }
      systemctl() { :; }
      install() { command install $(printf '%s ' "$@" | sed 's/-[og] limpet//g'); }`
    execFileSync('bash', ['-euc', `${stubs}\n${elsewhere}`], { cwd: folder, stdio: 'pipe' })
    const started = /^ExecStart=\S+ (\S+)\/src\/main\.js run --config (\S+)$/m.exec(unit) ?? []
    const paths = [
      started[1] ?? '',
      started[2] ?? '',
      '/etc/systemd/system/limpet.service',
      '/opt/limpet/node_modules',
    ]
    for (const path of paths) expect(existsSync(join(root, path)), path).to.equal(true)
    const wrapper = readFileSync(join(root, 'usr/local/bin/limpet'), 'utf8').replaceAll(root, '')
    // The same program and the same configuration as the unit's.
    const [, dist = '', file = ''] = started
    expect(wrapper).to.include(`:-${file}} exec /usr/bin/node ${dist}/src/main.js "$@"`)
    const yaml = join(root, started[2] ?? '')
    expect((statSync(yaml).mode & 0o777).toString(8), 'it may come to hold secrets').to.equal('640')
    writeFileSync(yaml, readFileSync(yaml, 'utf8').replaceAll(root, ''))
    const config = loadConfig({ file: yaml, env: {} })
    expect(existsSync(join(root, config.signing_key_path))).to.equal(true)
    expect(unit).to.match(/^StateDirectory=limpet$/m)
    expect(config.data_dir).to.equal('/var/lib/limpet')
  })
})
