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
 * `to` with the getters of `asked`, which are asked each time they are read. (A copy, `{...it}`, has what they gave when it was made, so
 * this comes last.)
 */
export function asking<T extends object, Asked extends object>(to: T, asked: Asked): T & Asked {
  return Object.defineProperties(to, Object.getOwnPropertyDescriptors(asked)) as T & Asked
}
