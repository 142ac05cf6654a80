/** Turns what ingest took into metrics. */
import type { Metrics } from './metrics.ts'

export function countItems(metrics: Metrics, items: readonly { type: string }[], ignored: number): void {
  for (const { type } of items) metrics.ingestItems.inc({ type })
  if (ignored > 0) metrics.ingestIgnored.inc({ why: 'ignored' }, ignored)
}
