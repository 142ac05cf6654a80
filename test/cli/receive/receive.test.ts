import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { until } from '../../support/poll.ts'
import { quietPort } from '../../support/port.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { install, limpet, startShell, type Install, type Process } from '../cli-stage.ts'

describe('limpet receive', function () {
  this.timeout(300_000)
  let dir: string
  let env: Record<string, string>
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'limpet-receive-'))
    // A database that is there already, as making one takes seconds.
    const { url } = await freshDatabase()
    env = { LIMPET_DATABASE: url, LIMPET_LISTEN: `{host: 127.0.0.1, port: ${await quietPort()}}` }
  })
  after(() => rmSync(dir, { recursive: true, force: true }))
  const shell = (line: string) => startShell(line, { cwd: dir, env })
  const said = (run: Process, what: RegExp) =>
    until(() => what.exec(run.out), { what: `${what.source} in:\n${run.out}\n${run.err}` })

  it('is sent one event by one command, by a limpet that is started as it says; and again after it was started anew', async () => {
    await limpet(['init', '--server-name', 'example.org'], { cwd: dir })
    const port = await quietPort()
    const first = shell(`npx limpet receive --port ${port}`)
    const intro = await said(first, /^((?:LIMPET_\S+ )+npx limpet run)$[\s\S]*^(curl .*)$[\s\S]*Ctrl-C\.$/m)
    const [, run = '', curl = ''] = intro
    const daemon = shell(run)
    await said(daemon, /limpet runs/)
    const fed = shell(curl)
    expect(await fed.ended, fed.err).to.equal(0)
    expect(JSON.parse(fed.out)).to.include({ accepted: 2, duplicates: 0 })
    await said(
      first,
      new RegExp(
        `^\\d\\d:\\d\\d:\\d\\d transaction \\S+ from example\\.org: 1 PDU, 0 EDUs, new\\n {9}PDU \\$\\S{43}: ` +
          `m\\.room\\.message in !receive-${port}:example\\.org by @limpet:example\\.org$`,
        'm',
      ),
    )
    first.child.kill('SIGINT')
    expect(await first.ended, first.err).to.equal(0)
    expect(first.out).to.match(/\n1 transaction with 1 PDU and 0 EDUs, 0 objections\n$/)

    const second = shell(`npx limpet receive --json --port ${port}`)
    const started = JSON.parse((await said(second, /^\{"kind":"started".*\}$/m))[0]) as Record<string, string>
    // The authority is the one that the running limpet trusts.
    expect(started).to.include({ server_name: `127.0.0.1:${port}`, run, feed: curl, ca_replaced: null })
    expect(await shell(curl).ended).to.equal(0)
    await said(second, /"kind":"pdu"/)
    second.child.kill('SIGTERM')
    expect(await second.ended, second.err).to.equal(0)
    const objects = second.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(objects.map(({ kind }) => kind)).to.deep.equal(['started', 'transaction', 'pdu', 'ended'])
    expect(objects[1]).to.include({ origin: 'example.org', status: 200, repeated: false, pdus: 1, edus: 0 })
    expect(objects[2]).to.include({ type: 'm.room.message', sender: '@limpet:example.org', error: null })
    expect(objects[3]).to.include({ transactions: 1, pdus: 1, objections: 0 })

    daemon.child.kill('SIGTERM')
    expect(await daemon.ended, daemon.err).to.equal(0)
    const folder = join(dir, 'limpet-data/receive')
    expect(statSync(folder).mode & 0o777).to.equal(0o700)
    expect(statSync(join(folder, 'authority.pem')).mode & 0o777).to.equal(0o600)
    const pem = readFileSync(join(folder, 'ca.pem'), 'utf8')
    expect(pem).to.include('BEGIN CERTIFICATE').and.not.to.include('PRIVATE')
  })

  describe('refuses in one line', () => {
    let here: Install
    beforeEach(() => (here = install()))
    afterEach(() => here.remove())
    const fails = async (status: number, line: RegExp, ...args: string[]) => {
      const run = startShell(['limpet receive', ...args].join(' '), { cwd: here.dir })
      expect(await run.ended, run.err).to.equal(status)
      expect(run.err).to.match(line)
      expect(run.err.match(/\n/g), 'one line').to.have.length(1)
      expect(run.out).to.equal('')
    }

    it('a port that is taken', async () => {
      const port = await quietPort()
      const other = startShell(`limpet receive --port ${port}`, { cwd: here.dir })
      await said(other, /Ctrl-C\.$/m)
      await fails(
        1,
        new RegExp(`^limpet: port ${port} is taken: give another port with --port\n$`),
        '--port',
        `${port}`,
      )
      other.child.kill('SIGINT')
      expect(await other.ended, other.err).to.equal(0)
    })

    it('a port that is none, no configuration, and no key', async () => {
      await fails(
        2,
        /^limpet: --port must be a whole number from 0 to 65535, not "65536"\n$/,
        '--port',
        '65536',
      )
      writeFileSync(here.file, 'server_name: a.example\nsigning_key_path: none.key\n')
      await fails(2, /^limpet: signing_key_path: .*none\.key does not exist\n$/)
      rmSync(here.file)
      await fails(2, /^limpet: server_name: is missing, and there is no limpet\.yaml in /)
    })
  })
})
