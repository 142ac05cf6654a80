/** `examples/homeserver.mts`, run as a newcomer runs it, against a real limpet and a strict remote server. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { hashEvent, signEvent } from '../../src/matrix/make-pdu.ts'
import type { JsonObject } from '../../src/matrix/json-value.ts'
import { roomVersion } from '../../src/matrix/room-versions.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { startProgram } from '../cli/cli-stage.ts'
import { makeWorld, OURS, TOKENS, type World } from '../e2e/world.ts'
import { inherited } from '../support/inherited.ts'
import { until } from '../support/poll.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** Per run: a message, a sticky event, a kick. */
const EVENTS = 3

describe('examples/homeserver.mts', function () {
  this.timeout(60_000)
  let world: World
  let remote: FakeHomeserver
  let logs: string
  before(async () => {
    logs = mkdtempSync(join(tmpdir(), 'limpet-example-'))
    world = await makeWorld()
    remote = await world.remote()
    await world.start()
  })
  after(async () => {
    await world.stop()
    rmSync(logs, { recursive: true })
  })

  async function run(): Promise<string> {
    const example = ['--import=tsx', join(ROOT, 'examples/homeserver.mts'), OURS, remote.serverName]
    const run = startProgram(process.execPath, example, {
      cwd: ROOT,
      env: {
        ...inherited(),
        ...{ LIMPET_URL: world.address, LIMPET_TOKEN: TOKENS.ingest },
        ...{ SIGNING_KEY: join(world.dir, 'key'), LOG: join(logs, 'log.ndjson') },
      },
    })
    const status = await run.ended
    const said = `${run.out}${run.err}`
    expect(status, said).to.equal(0)
    return said
  }

  it('delivers its events and EDUs, each once although an answer was lost', async () => {
    const said = await run()
    expect(said).to.contain('items 2 to 3 were taken before; the answer was lost')
    expect(said)
      .to.contain('limpet reaches every server')
      .and.contain('limpet knows the same servers of the room')
    expect(said).not.to.contain('left out')
    await until(() => remote.received.size === EVENTS, { what: 'its events' })
    await until(() => remote.edus.toDevice.size === 1, { what: 'its to-device message' })
    expect([...remote.received.values()].map(({ times }) => times)).to.deep.equal([1, 1, 1])
    expect(remote.violations).to.deep.equal([])
  })

  it('signs and hashes as the specification says', () => {
    const version = roomVersion('11')!
    const lines = readFileSync(join(logs, 'log.ndjson'), 'utf8').trim().split('\n')
    const pdus = lines
      .map((line) => JSON.parse(line) as { type: string; pdu: JsonObject })
      .filter(({ type }) => type === 'event')
      .map(({ pdu }) => pdu)
    expect(pdus).to.have.lengthOf(EVENTS)
    for (const pdu of pdus) {
      const { signatures, ...unsigned } = pdu
      expect(pdu['hashes']).to.deep.equal({ sha256: hashEvent(unsigned) })
      expect(signEvent(unsigned, world.key, OURS, version)['signatures']).to.deep.equal(signatures)
    }
  })

  it('goes on where it was when it is run again', async () => {
    expect(await run()).to.contain('items 8 to 8 are taken')
    await until(() => remote.received.size === 2 * EVENTS, { what: 'the events of the second run' })
  })
})
