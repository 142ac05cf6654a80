/**
 * limpet finds two real Synapses by their plain names: one by `.well-known`, one by an SRV record.
 *
 * The whole story is run in a network namespace with mounts of its own (`support/by-name.ts`), so that 443, 8448 and 53 are the
 * ports they are for users and `resolv.conf` is where they have it. It needs root; elsewhere it is skipped.
 */
import { expect } from 'chai'
import { inOwnNetwork, requireOwnNetwork } from '../support/own-network.ts'
import type { GivenNames, ToldNames } from './support/by-name.ts'
import { requireSynapse } from './support/homeservers.ts'

const STORY_MS = 300_000

describe('two Synapses that are found by name: one by .well-known, one by SRV', function () {
  let told: ToldNames

  before(async function () {
    requireOwnNetwork(this, { mounts: true })
    const given: GivenNames = { install: await requireSynapse(this) }
    const program = new URL('support/by-name.ts', import.meta.url)
    this.timeout(STORY_MS + 10_000)
    told = await inOwnNetwork<ToldNames>(program, given, { mounts: true, withinMs: STORY_MS })
  })

  it('Bob, on the one behind .well-known, and Carol, on the one behind SRV, see what Alice says', () => {
    expect([told.delegated.seen, told.bySrv.seen]).to.deep.equal(['by name', 'by name'])
  })

  it('limpet discover: .well-known delegates to another host, which is asked for by its own name', () => {
    const { steps, ...found } = told.delegated.discovered
    expect(steps.map(({ step, asked }) => ({ step, asked }))).to.deep.equal([
      { step: '3', asked: 'https://delegating.example/.well-known/matrix/server' },
      { step: '3.2', asked: null },
    ])
    expect(steps[0]?.outcome).to.equal('m.server is matrix.delegating.example:8702')
    expect(found).to.deep.include({
      step: '3.2',
      connects_to: [{ address: '8.8.2.2', port: 8702, via_proxy: null }],
      host_header: 'matrix.delegating.example:8702',
      certificate_name: 'matrix.delegating.example',
    })
  })

  it('limpet discover: no .well-known, then SRV leads to another host, which is asked for by the server name', () => {
    const { steps, ...found } = told.bySrv.discovered
    expect(steps.map(({ step, asked }) => ({ step, asked }))).to.deep.equal([
      { step: '3', asked: 'https://by-srv.example/.well-known/matrix/server' },
      { step: '4', asked: 'SRV _matrix-fed._tcp.by-srv.example' },
    ])
    expect(steps[0]?.outcome).to.include('ECONNREFUSED')
    expect(steps[1]?.outcome).to.equal('host7.by-srv.example port 8703')
    expect(found).to.deep.include({
      step: '4',
      connects_to: [{ address: '8.8.3.2', port: 8703, via_proxy: null }],
      host_header: 'by-srv.example',
      certificate_name: 'by-srv.example',
    })
  })

  it('the transactions came under these names, as those of a Synapse did', () => {
    const { delegated, bySrv } = told
    expect(delegated.byLimpet).to.deep.equal([
      { host: 'matrix.delegating.example:8702', sni: 'matrix.delegating.example' },
    ])
    expect(bySrv.byLimpet).to.deep.equal([{ host: 'by-srv.example', sni: 'by-srv.example' }])
    expect(delegated.bySynapse).to.deep.equal(delegated.byLimpet)
    expect(bySrv.bySynapse).to.deep.equal(bySrv.byLimpet)
  })

  it('a certificate for the server name does not do after a delegation, nor one for the target of an SRV record', () => {
    for (const { refusal, sentMeanwhile } of [told.delegated, told.bySrv]) {
      expect(refusal).to.include('certificate is for another name')
      expect(sentMeanwhile).to.equal(0)
    }
  })

  it('with the right certificates again, what was said meanwhile arrives', () => {
    for (const { seenAfterwards } of [told.delegated, told.bySrv])
      expect(seenAfterwards).to.equal('to nobody for now')
  })

  it('limpet and both Synapses fetched .well-known on port 443, and nobody went where no step leads', () => {
    const agents = told.fetchedWellKnown.map((agent) => agent.split('/')[0])
    expect(new Set(agents)).to.deep.equal(new Set(['limpet', 'Synapse']))
    expect(told.trapped).to.deep.equal([])
  })
})
