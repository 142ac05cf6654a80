/** Nothing is blocked, and nothing ever will be. */
import type { Blocking } from '../../src/deliver/blocking.ts'

const nobody = Object.assign(() => null, { blocksNobody: () => true })

export const NOBODY_BLOCKED: Blocking = {
  why: nobody,
  isBlocked: () => false,
  now: () => nobody,
  whenBlocked: () => () => undefined,
  configure: () => undefined,
  onChange: () => undefined,
  read: () => Promise.resolve(),
  run: () => Promise.resolve(),
}
