/** Measures the raw loop: what the client and the receivers do when nothing stands between. */
import { assembleTransaction } from '../../src/matrix/transaction.ts'
import { startChild } from './child.ts'
import { makeEvents, OURS } from './events.ts'
import type { Fleet } from './fleet.ts'
import type { RawLoopOptions } from './raw-loop.ts'
import type { Setting } from './setting.ts'
import { flowing, inWindow, PDUS_A_TRANSACTION, type Window } from './window.ts'

const WARM_UP_MS = 4_000

export async function measureRaw(setting: Setting, fleet: Fleet, windowMs: number): Promise<Window> {
  const child = startChild(setting.built('test/bench/raw-loop.ts'))
  const event = makeEvents(setting.key)
  const bodies = Array.from({ length: 50 }, () => {
    const pduTexts = Array.from({ length: PDUS_A_TRANSACTION }, () => event('!raw:home.example').pdu)
    return assembleTransaction({ origin: OURS, originServerTs: Date.now(), pduTexts })
  })
  const { keyText, ca } = setting
  const options: RawLoopOptions = { destinations: fleet.names, origin: OURS, keyText, ca, bodies }
  await flowing(fleet, WARM_UP_MS, () => child.ask('start', options))
  const window = await inWindow(fleet, windowMs, { sender: child.pid })
  const { failed } = await child.ask<{ failed: number }>('counts')
  await child.stop()
  if (failed > 0) throw new Error(`${failed} requests of the raw loop failed`)
  return window
}
