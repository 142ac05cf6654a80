/**
 * Metrics that are counted for each transaction and read once in a while.
 *
 * prom-client finds a number by a text that it makes of the labels, for each observation anew, which took a fiftieth of all processor time.
 * Here counting is a step of a plain number; what the registry shows is made of them when it is read.
 *
 * Always: the registry shows what it would show of prom-client's own (`test/observe/tally.test.ts` compares the texts).
 */
import { Counter, Gauge, type Metric, type Registry } from 'prom-client'

interface About {
  readonly name: string
  readonly help: string
}

/** Counts by the value of one label, and shows 0 from the start for each of `values`. */
export function tallyCounter<L extends string, V extends string>(
  registry: Registry,
  { name, help, label, values }: About & { readonly label: L; readonly values: readonly V[] },
): { inc(labels: Record<L, V>, by?: number): void } {
  const counts = new Map<V, number>(values.map((value) => [value, 0]))
  new Counter({
    ...{ name, help, labelNames: [label], registers: [registry] },
    collect() {
      this.reset()
      for (const [value, count] of counts) this.inc({ [label]: value } as Record<L, V>, count)
    },
  })
  return {
    inc(labels, by = 1) {
      const value = labels[label]
      counts.set(value, (counts.get(value) ?? 0) + by)
    },
  }
}

/** How many of something there are. */
export function tallyGauge(registry: Registry, { name, help }: About): { inc(): void; dec(): void } {
  let count = 0
  new Gauge({
    ...{ name, help, registers: [registry] },
    collect() {
      this.set(count)
    },
  })
  return {
    inc() {
      count += 1
    },
    dec() {
      count -= 1
    },
  }
}

/** What a registry asks of a metric; the types of prom-client have numbers for `type`. */
interface ShownHistogram extends About {
  readonly type: 'histogram'
  readonly values: { labels: { le?: string | number }; value: number; metricName: string }[]
  readonly aggregator: 'sum'
}

/** `buckets`: upper bounds, the least first. */
export function tallyHistogram(
  registry: Registry,
  { name, help, buckets }: About & { readonly buckets: readonly number[] },
): { observe(value: number): void } {
  // One more for what is above all bounds.
  const counts = new Array<number>(buckets.length + 1).fill(0)
  let sum = 0
  function shown(): ShownHistogram {
    let upTo = 0
    const bucket = `${name}_bucket`
    const values: ShownHistogram['values'] = buckets.map((le, index) => {
      upTo += counts[index] ?? 0
      return { labels: { le }, value: upTo, metricName: bucket }
    })
    const count = upTo + (counts[buckets.length] ?? 0)
    values.push(
      { labels: { le: '+Inf' }, value: count, metricName: bucket },
      { labels: {}, value: sum, metricName: `${name}_sum` },
      { labels: {}, value: count, metricName: `${name}_count` },
    )
    return { name, help, type: 'histogram', values, aggregator: 'sum' }
  }
  // A registry asks no more of a metric than its name and `get`; the rest is for who lists its metrics (`docs/metrics.md`).
  const about = { name, help, type: 'histogram', labelNames: [], upperBounds: buckets }
  const metric = { ...about, get: () => Promise.resolve(shown()) }
  registry.registerMetric(metric as unknown as Metric)
  return {
    observe(value) {
      let index = 0
      while (index < buckets.length && value > (buckets[index] ?? 0)) index += 1
      counts[index] = (counts[index] ?? 0) + 1
      sum += value
    },
  }
}
