import { expect } from 'chai'
import { makeMetrics } from '../../src/observe/metrics.ts'

const totals = {
  position: 42,
  destinations: { idle: 3, backing_off: 1 },
  pendingPdus: 7,
  oldestPendingMs: 1500,
  stickyPending: 2,
  oldestSnapshotMs: 90_000,
  setAsidePdus: 5,
  setAsideEdus: 2,
  heldRooms: 2,
  perDestination: [{ destination: 'b.example', pendingPdus: 7, oldestPendingMs: 1500 }],
}

describe('metrics', () => {
  const CONTRACT = [
    'stream_position',
    'destinations',
    'pending_pdus',
    'oldest_pending_seconds',
    'sticky_pending',
    'oldest_snapshot_seconds',
    'set_aside',
    'held_rooms',
    'sticky_delivery_seconds',
    'sticky_lapsed_total',
    'delivery_seconds',
    'pdus_sent_total',
    'pdu_errors_total',
    'edus_sent_total',
    'transactions_total',
    'transaction_seconds',
    'transactions_in_flight',
    'bodies_bytes',
    'ingest_items_total',
    'ingest_ignored_total',
    'queue_jobs',
    'given_up_total',
    'discovery_total',
    'nodejs_eventloop_lag_seconds',
    'nodejs_heap_size_used_bytes',
    'nodejs_gc_duration_seconds',
  ]

  it("are all that the contract names, and the runtime's own", async () => {
    const names = (await makeMetrics().registry.getMetricsAsJSON()).map(({ name }) => name)
    expect(names).to.include.members(CONTRACT.map((name) => `limpet_${name}`))
    expect(names.filter((name) => !name.startsWith('limpet_'))).to.deep.equal([])
  })

  it('show what the sweep counted, in base units, every state too that nobody is in', async () => {
    const metrics = makeMetrics({ runtime: false })
    metrics.setTotals(totals)
    const text = await metrics.registry.metrics()
    expect(text).to.match(/^limpet_stream_position 42$/m)
    expect(text).to.match(/^limpet_oldest_pending_seconds 1\.5$/m)
    expect(text).to.match(/^limpet_oldest_snapshot_seconds 90$/m)
    expect(text).to.match(/^limpet_set_aside\{kind="pdu"\} 5$/m)
    expect(text).to.match(/^limpet_held_rooms 2$/m)
    expect(text).to.match(/^limpet_destinations\{state="refused"\} 0$/m)
    expect(text).to.match(/^limpet_destinations\{state="backing_off"\} 1$/m)
    expect(text).to.match(/^limpet_destinations\{state="paused"\} 0$/m)
    expect(text).to.match(/^limpet_destinations\{state="blocked"\} 0$/m)
  })

  it('name no destination unless they are told to', async () => {
    const plain = makeMetrics({ runtime: false })
    plain.setTotals(totals)
    expect(await plain.registry.metrics()).not.to.include('b.example')
    const each = makeMetrics({ runtime: false, perDestination: true })
    each.setTotals(totals)
    expect(await each.registry.metrics()).to.include(
      'limpet_destination_pending_pdus{destination="b.example"} 7',
    )
    each.setTotals({ ...totals, perDestination: [] })
    expect(await each.registry.metrics()).not.to.include('b.example')
  })

  it('show no counts before the first sweep, and every label of a counter from the start', async () => {
    const text = await makeMetrics({ runtime: false }).registry.metrics()
    expect(text).not.to.match(
      /^limpet_(stream_position|destinations|pending_pdus|oldest_pending|oldest_snapshot|set_aside|held_rooms)/m,
    )
    expect(text).to.match(/^limpet_given_up_total\{why="purge"\} 0$/m)
    expect(text).to.match(/^limpet_given_up_total\{why="operator"\} 0$/m)
    expect(text).to.match(/^limpet_pdus_sent_total\{reason="sticky_replay"\} 0$/m)
    expect(text.match(/^limpet_discovery_total\{outcome="\w+"\} 0$/gm)).to.have.length(9)
    expect(text).to.match(/^limpet_ingest_items_total\{type="event"\} 0$/m)
  })

  it('show no counts that another process has taken over, and show them again afterwards', async () => {
    const metrics = makeMetrics({ runtime: false, perDestination: true })
    const shown = async () =>
      (await metrics.registry.metrics()).match(
        /^limpet_(stream_position|destinations|pending|queue_jobs|set_aside|held_rooms).* \d+$/gm,
      )
    metrics.setTotals(totals)
    expect(await shown()).to.have.length(13)
    metrics.queueJobs.set({ queue: 'fanout', state: 'waiting' }, 1)
    expect(await shown()).to.have.length(14)
    metrics.clearTotals()
    expect(await shown()).to.equal(null)
    metrics.setTotals(totals)
    expect(await shown()).to.have.length(13)
  })
})
