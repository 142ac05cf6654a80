import { existsSync, readFileSync, statSync, writeFileSync, chmodSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { loadConfig } from '../../src/config/config.ts'
import { parseListen, parseRoles } from '../../src/cli/run-options.ts'
import { readSigningKey } from '../../src/matrix/signing.ts'
import { install, limpet } from './cli-stage.ts'
import type { Install } from './cli-stage.ts'

describe('the command line', () => {
  let here: Install
  beforeEach(() => (here = install()))
  afterEach(() => here.remove())

  const run = (...args: string[]) => limpet(args, { cwd: here.dir })
  const fails = async (status: number, line: RegExp, ...args: string[]) => {
    const said = await run(...args)
    expect(said.err).to.match(line)
    expect(said.err.match(/\n/g), 'one line').to.have.length(1)
    expect(said.status).to.equal(status)
    return said
  }

  it('shows help and version', async () => {
    const help = await run('--help')
    expect(help.status).to.equal(0)
    for (const command of ['run', 'init', 'check-config', 'migrate', 'status', 'destinations', 'explain'])
      expect(help.out).to.match(new RegExp(`^  ${command} `, 'm'))
    const version = await run('--version')
    expect(version).to.include({ status: 0, err: '' })
    expect(version.out).to.match(/^\d+\.\d+\.\d+\n$/)
  })

  it('shows them however they are asked for, with every command', async () => {
    const words = (text: string) => /^Usage: limpet (\S+)/.exec(text)?.[1]
    const { out } = await run('-h')
    expect((await run('help')).out).to.equal(out)
    const names = [...out.matchAll(/^ {2}([a-z-]+) /gm)]
      .map(([, name = '']) => name)
      .filter((one) => one[0] !== '-')
    expect(names).to.include.members(['run', 'status', 'wake', 'simulate', 'completion', 'help', 'version'])
    const { out: version } = await run('version')
    for (const asked of ['-V', '--version']) expect(await run(asked)).to.include({ status: 0, out: version })
    for (const name of names) {
      for (const asked of [
        ['help', name],
        [name, 'help'],
        [name, '-h'],
        [name, '--help'],
      ]) {
        if (asked[0] === 'help' && asked[1] === 'help' && asked.length === 2 && name !== 'help') continue
        const said = await run(...asked)
        expect([said.status, words(said.out)], asked.join(' ')).to.deep.equal([0, name])
      }
      if (name === 'help') continue
      for (const asked of [
        [name, '-V'],
        [name, '--version'],
        [name, 'version'],
      ])
        expect(await run(...asked), asked.join(' ')).to.include({ status: 0, out: version })
    }
    await fails(2, /^limpet: unknown command 'statsu' \(Did you mean status\?\)\n$/, 'help', 'statsu')
  })

  it('reads the configuration that LIMPET_CONFIG names, where --config names none', async () => {
    const config = join(here.dir, 'other.yaml')
    writeFileSync(config, 'server_name: a.example\nfrobnicate: 1\n')
    const withEnv = (value: string, ...args: string[]) =>
      limpet(args, { cwd: here.dir, env: { LIMPET_CONFIG: value, LIMPET_URL: 'x', LIMPET_TOKEN: 'y' } })
    for (const command of ['run', 'check-config', 'migrate'])
      expect((await withEnv(config, command)).err, command).to.match(/frobnicate: unknown setting/)
    for (const [value, ...args] of [[config, '--config', 'none.yaml'], ['none.yaml']] as const)
      expect((await withEnv(value, 'migrate', ...args)).err).to.match(/none\.yaml does not exist/)
    writeFileSync(here.file, 'server_name: a.example\nfrob: 1\n')
    expect((await withEnv('', 'migrate')).err).to.match(/frob: unknown setting/)
  })

  it('knows --config and --help with every command', async () => {
    for (const command of ['run', 'init', 'check-config', 'migrate', 'status', 'sticky', 'explain', 'wake']) {
      const { status, out } = await run(command, '--help')
      expect(status, command).to.equal(0)
      expect(out, command).to.include('--config <file>')
    }
  })

  it('says in one line what is wrong with what was typed, exit 2', async () => {
    await fails(2, /^limpet: no command given; limpet --help lists them\n$/)
    await fails(2, /^limpet: unknown command 'statsu' \(Did you mean status\?\)\n$/, 'statsu')
    await fails(2, /^limpet: unknown option '--rol' \(Did you mean --role\?\)\n$/, 'run', '--rol', 'x')
    await fails(2, /^limpet: required option '--server-name <name>' not specified\n$/, 'init')
    await fails(
      2,
      /^limpet: --role: "cook" is not one of ingest, deliver, housekeep\n$/,
      'run',
      '--role',
      'cook',
    )
    await fails(2, /^limpet: --listen: "here" is not HOST:PORT/, 'run', '--listen', 'here')
  })

  it('says which commands there are below db, where none of them was typed, exit 2', async () => {
    const listed = String.raw`limpet db --help lists dump, load and copy\n$`
    await fails(2, new RegExp(`^limpet: db: no command given; ${listed}`), 'db')
    await fails(2, new RegExp(`^limpet: db: no command given; ${listed}`), 'db', '--config', 'x.yaml')
    await fails(2, new RegExp(`^limpet: db: unknown command 'frob'; ${listed}`), 'db', 'frob')
    await fails(2, /^limpet: db: unknown command 'dmup' \(Did you mean dump\?\)\n$/, 'db', 'dmup', 'file')
    await fails(2, /^limpet: unknown option '--frob'\n$/, 'db', '--frob')
    expect((await run('db', '--help')).status).to.equal(0)
  })

  it('reads the configuration that --config names, before or behind the command', async () => {
    // The one in the working directory is another.
    writeFileSync(here.file, 'frobnicate: 1\n')
    const other = join(here.dir, 'other.yaml')
    writeFileSync(other, 'server_name: a.example\nlisten: {host: 127.0.0.1, port: 1}\ntokens: {admin: t}\n')
    const asked = ['status', 'destinations', 'destination x', 'sticky', 'explain $x', 'wake x', 'pause x']
    for (const words of asked.map((one) => one.split(' '))) {
      await fails(1, /^limpet: no limpet answers at http:\/\/127\.0\.0\.1:1 /, ...words, '--config', other)
      await fails(1, /^limpet: no limpet answers at http:\/\/127\.0\.0\.1:1 /, '--config', other, ...words)
    }
  })

  it('says which key of the configuration is wrong, exit 2, with every command', async () => {
    writeFileSync(here.file, 'server_name: a.example\nfrobnicate: 1\n')
    for (const command of ['run', 'check-config', 'migrate', 'status'])
      await fails(2, /^limpet: frobnicate: unknown setting\n$/, command)
    await fails(2, /^limpet: .*none\.yaml does not exist\n$/, 'run', '--config', 'none.yaml')
  })

  it('reads roles and addresses', () => {
    expect(parseRoles(undefined)).to.deep.equal(['ingest', 'deliver', 'housekeep'])
    expect(parseRoles('housekeep, ingest')).to.deep.equal(['ingest', 'housekeep'])
    const serve = ['ingest', 'admin', 'metrics']
    expect(parseListen('none')).to.deep.equal([])
    expect(parseListen('0.0.0.0:80')).to.deep.equal([{ host: '0.0.0.0', port: 80, serve }])
    expect(parseListen('[::1]:80')).to.deep.equal([{ host: '::1', port: 80, serve }])
    expect(parseListen('/run/limpet.sock')).to.deep.equal([
      { socket: '/run/limpet.sock', mode: 0o660, serve },
    ])
    for (const wrong of ['80', ':80', 'a:65536', '::1:80', 'a b:1', ''])
      expect(() => parseListen(wrong), wrong).to.throw('is not HOST:PORT')
  })

  describe('init', () => {
    it('writes a configuration, a key and tokens, which then are what every command uses', async () => {
      const { status, out } = await run('init', 'new', '--server-name', 'b.example')
      expect(status).to.equal(0)
      const file = join(here.dir, 'new', 'limpet.yaml')
      const config = loadConfig({ file, env: {} })
      expect(config.server_name).to.equal('b.example')
      expect(config.tokens.ingest[0]?.token).to.match(/^[\w-]{32}$/)
      expect(config.tokens.admin).to.have.length(1)
      expect(statSync(config.signing_key_path).mode & 0o777).to.equal(0o600)
      expect(readSigningKey(readFileSync(config.signing_key_path, 'utf8')).keyId).to.match(/^ed25519:a_/)
      expect(out)
        .to.include('new/limpet.yaml')
        .and.to.include('tokens.yaml')
        .and.not.to.include(config.tokens.admin[0]?.token)
      expect((await run('check-config', '--config', 'new/limpet.yaml')).status).to.equal(0)
    })

    it("uses the homeserver's own key where it lies", async () => {
      const { status } = await run(
        'init',
        'new',
        '--server-name',
        'b.example',
        '--signing-key',
        'signing.key',
      )
      expect(status).to.equal(0)
      expect(loadConfig({ file: join(here.dir, 'new/limpet.yaml'), env: {} }).signing_key_path).to.equal(
        here.key,
      )
      expect(existsSync(join(here.dir, 'new/limpet-data/b.example.signing.key'))).to.equal(false)
    })

    it('overwrites nothing', async () => {
      await fails(
        1,
        /limpet\.yaml already exists; nothing was written\n$/,
        'init',
        '--server-name',
        'b.example',
      )
      await run('init', 'new', '--server-name', 'b.example')
      const key = join(here.dir, 'new/limpet-data/b.example.signing.key')
      const before = readFileSync(key, 'utf8')
      writeFileSync(join(here.dir, 'new/limpet.yaml.old'), '')
      await fails(1, /already exists/, 'init', 'new', '--server-name', 'b.example')
      expect(readFileSync(key, 'utf8')).to.equal(before)
    })

    it('refuses a bad name and a bad key before it writes anything', async () => {
      await fails(2, /"b b" is not a valid server name\n$/, 'init', 'new', '--server-name', 'b b')
      chmodSync(here.key, 0o644)
      await fails(2, /is open to others/, 'init', 'new', '--server-name', 'b', '--signing-key', 'signing.key')
      writeFileSync(here.key, 'rsa 1 abc')
      chmodSync(here.key, 0o600)
      await fails(
        2,
        /only ed25519 keys can sign/,
        'init',
        'new',
        '--server-name',
        'b',
        '--signing-key',
        'signing.key',
      )
      expect(existsSync(join(here.dir, 'new'))).to.equal(false)
    })
  })
})
