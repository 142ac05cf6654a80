/** `docs/metrics.md`: every metric of limpet's own, from the registry that `GET /metrics` shows. */
import type { Metric } from 'prom-client'
import { makeMetrics } from '../../src/observe/metrics.ts'
import { asPage, table, WRITTEN_BY } from './markdown.ts'

const HEAD = `# Metrics

What \`GET /metrics\` shows, for Prometheus. It needs a token only if \`metrics.token\` is set. Every process counts for itself: sum counters over all processes.
What is _as of the last sweep_ is shown by the process that swept last, and by no other: take the maximum. Alerts and what to do about each are in
[ops](../ops/README.md).

Times are seconds, sizes bytes. A counter with a fixed set of labels shows 0 for each from the start.

The runtime's own metrics stand beside these: \`limpet_process_…\` (CPU, memory, file descriptors, start) and \`limpet_nodejs_…\` (event-loop lag, heap, garbage
collection), as prom-client makes them.

${WRITTEN_BY}
`

/** Of labels whose values are not a fixed set. */
const VALUES: Readonly<Record<string, string>> = {
  limpet_destinations: 'the states of contract 4',
  limpet_set_aside: '`pdu`, `edu`',
  limpet_queue_jobs: 'queue: `fanout`, `delivery`, `recovery`; state: `waiting`, `active`',
  limpet_source_behind_seconds: "the source's name",
  limpet_db_connections: '`used`, `idle`',
  limpet_destination_pending_pdus: 'a server name; only with `metrics.per_destination`',
  limpet_destination_oldest_pending_seconds: 'a server name; only with `metrics.per_destination`',
}

/** What prom-client keeps of a metric and its types do not tell. */
type Kept = Metric & {
  name: string
  help: string
  type: string
  labelNames: string[]
  upperBounds?: number[]
}

export async function metricsPage(): Promise<string> {
  const { registry } = makeMetrics({ perDestination: true, runtime: false })
  const values = new Map((await registry.getMetricsAsJSON()).map((one) => [one.name, one.values]))
  const rows = (registry.getMetricsAsArray() as unknown as Kept[])
    .map(({ name, help, type, labelNames, upperBounds }) => {
      const seen = (values.get(name) ?? []).flatMap(({ labels }) =>
        Object.values(labels).map((one) => `\`${one}\``),
      )
      const told = VALUES[name] ?? (type === 'histogram' ? '' : [...new Set(seen)].join(', '))
      if (labelNames.length > 0 && told === '')
        throw new Error(`${name}: test/api/metrics-page.ts does not say which labels`)
      const labels =
        labelNames.length === 0 ? '' : `${labelNames.map((one) => `\`${one}\``).join(', ')}: ${told}`
      const buckets = upperBounds === undefined ? '' : ` Buckets: ${upperBounds.join(', ')}.`
      return [`\`${name}\``, type, labels, `${help}${buckets}`]
    })
    .sort(([a = ''], [b = '']) => (a < b ? -1 : 1))
  return asPage([HEAD, table(['Metric', 'Type', 'Labels', 'Meaning'], rows)])
}
