/**
 * What is configured at this moment. A setting that applies at SIGHUP is asked for here whenever it is used.
 */

export interface Changeable<T> {
  now(): T
  /** Called after each change, with what is so from then on. It must not throw: there is no way back by then. */
  onChange(heard: (now: T) => void): void
}

export function makeChangeable<T>(first: T): Changeable<T> & { change(next: T): void } {
  let now = first
  const listeners: ((now: T) => void)[] = []
  return {
    now: () => now,
    onChange: (heard) => void listeners.push(heard),
    change(next) {
      now = next
      for (const heard of listeners) heard(next)
    },
  }
}

/**
 * A copy of `to` with the getters of `asked`, and of `also`, which are asked each time they are read. (A copy of that, `{...it}`, has what they gave when it was
 * made, so this comes last.)
 *
 * Never over properties that are there: V8 would keep such an object as a dictionary, and whatever is read in the same places as it is read slowly from then on, of
 * other objects too.
 * @throws Error where one of them is there already: a defect of ours
 */
export function asking<T extends object, Asked extends object, Also extends object = object>(
  to: T,
  asked: Asked,
  also?: Also,
): T & Asked & Also {
  const made: object = { ...to }
  for (const one of [asked, also ?? {}]) {
    const there = Object.keys(one).find((key) => Object.hasOwn(made, key))
    if (there !== undefined) throw new Error(`${there} is there already`)
    Object.defineProperties(made, Object.getOwnPropertyDescriptors(one))
  }
  return made as T & Asked & Also
}
