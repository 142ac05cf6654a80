/** Measures the raw loop: what the client and the receivers do when nothing stands between. */
import { assembleTransaction } from '../../src/matrix/transaction.ts'
import { startChild } from './child.ts'
import { makeEvents, OURS } from './events.ts'
import type { Fleet } from './fleet.ts'
import type { RawLoopOptions } from './raw-loop.ts'
import type { Setting } from './setting.ts'
import { beginWindow, flowing, inWindow, PDUS_A_TRANSACTION, type Window } from './window.ts'

const WARM_UP_MS = 4_000

export async function measureRaw(setting: Setting, fleet: Fleet, windowMs: number): Promise<Window> {
  const child = startChild(setting.built('test/bench/raw-loop.ts'))
  await flowing(fleet, WARM_UP_MS, () => child.ask('start', optionsFor(setting, fleet, PDUS_A_TRANSACTION)))
  const window = await inWindow({ fleet, pids: { sender: child.pid }, pool: null }, windowMs)
  await child.ask<Counts>('counts').then(throwIfFailed)
  await child.stop()
  return window
}

export interface RawBurst {
  /** From the first to the last that arrived. */
  seconds: number
  window: Window
}

/** One event to each of the fleet over open connections, so many times. */
export async function measureRawBursts(setting: Setting, fleet: Fleet, bursts: number): Promise<RawBurst[]> {
  const child = startChild(setting.built('test/bench/raw-loop.ts'))
  const options = optionsFor(setting, fleet, 1)
  const measured: RawBurst[] = []
  // The first makes the connections.
  await child.ask('burst', options)
  while (measured.length < bursts) {
    const end = await beginWindow({ fleet, pids: { sender: child.pid }, pool: null })
    const began = await child.ask<number>('burst', options)
    const window = await end()
    measured.push({ seconds: ((await fleet.counts()).lastAt - began) / 1000, window })
  }
  await child.ask<Counts>('counts').then(throwIfFailed)
  await child.stop()
  return measured
}

type Counts = Record<'answered' | 'failed', number>

function throwIfFailed({ failed }: Counts): void {
  if (failed > 0) throw new Error(`${failed} requests of the raw loop failed`)
}

function optionsFor({ key, keyText, ca }: Setting, fleet: Fleet, pdus: number): RawLoopOptions {
  const event = makeEvents(key)
  const bodies = Array.from({ length: 50 }, () => {
    const pduTexts = Array.from({ length: pdus }, () => event('!raw:home.example').pdu)
    return assembleTransaction({ origin: OURS, originServerTs: Date.now(), pduTexts })
  })
  return { destinations: fleet.names, origin: OURS, keyText, ca, bodies }
}
