/**
 * One run of one checkout: its raw loop, then its daemon in steady traffic, each against the receivers' processor time of
 * the same window. Receivers, events, requests and windows are ours, whatever checkout is measured; its own are `limpet run`
 * and the raw loop, which is nothing but its client.
 */
import type { Figures } from './compare-verdict.ts'
import type { Fleet } from './fleet.ts'
import { measureRaw } from './raw.ts'
import type { Setting } from './setting.ts'
import { WARM_UP_MS, withWarm } from './steady.ts'
import { saturate } from './traffic.ts'
import { flowing, inWindow, overReceivers, type Window } from './window.ts'

export interface RunOptions {
  /** Of the checkout. */
  built: (source: string) => string
  /** A new one's name. */
  database: string
  windowMs: number
}

export async function measureCheckout(ours: Setting, fleet: Fleet, options: RunOptions): Promise<Figures> {
  const setting: Setting = { ...ours, built: options.built }
  const raw = await measureRaw(setting, fleet, options.windowMs)
  await ours.emptyQueue()
  const warm = { queue: ours.redisUrl ?? 'postgres', database: options.database }
  const steady = await withWarm(setting, fleet, warm, async ({ scene, watched }) => {
    const traffic = await flowing(fleet, WARM_UP_MS, () => saturate(scene))
    const window = await inWindow(watched, options.windowMs)
    await traffic.stop()
    return window
  })
  await ours.dropDatabase(options.database)
  return figuresOf(raw, steady)
}

function figuresOf(raw: Window, steady: Window): Figures {
  const figures = {
    raw: raw.transactionsPerSecond,
    rawCpu: overReceivers(raw, 'sender'),
    steady: steady.transactionsPerSecond,
    limpetCpu: overReceivers(steady, 'limpet'),
    postgresCpu: overReceivers(steady, 'postgres'),
    pdus: steady.pdusPerTransaction,
    statements: steady.database?.statements ?? NaN,
    walBytes: steady.database?.walBytes ?? NaN,
  }
  // Nothing arrived, or the processes ended: that is no figure to compare.
  const bad = (figure: number | null) => figure !== null && !Number.isFinite(figure)
  if (Object.values(figures).some(bad) || figures.steady === 0 || figures.raw === 0)
    throw new Error(`there is no comparing with this run: ${JSON.stringify(figures)}`)
  return figures
}
