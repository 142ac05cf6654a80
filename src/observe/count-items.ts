/** Counts what ingest took in the metrics. */
import type { IngestIgnoredWhy, IngestItemType, Metrics } from './metrics.ts'

/** What is counted of a request; the ingest's own type fits it. */
export interface CountedItems {
  taken: ReadonlyMap<IngestItemType, number>
  ignored: ReadonlyMap<IngestIgnoredWhy, number>
  purged: number
}

export function countItems(metrics: Metrics, { taken, ignored, purged }: CountedItems): void {
  for (const [type, count] of taken) metrics.ingestItems.inc({ type }, count)
  for (const [why, count] of ignored) metrics.ingestIgnored.inc({ why }, count)
  metrics.givenUp.inc({ why: 'purge' }, purged)
}
