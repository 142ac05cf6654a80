/**
 * `limpet wake|pause|resume|reset|skip NAME`: what each does, and what it says when it is done; `noted`: when it is done to a destination that is
 * blocked, to which nothing is sent. A wake of such a one is refused. `idle`: where nothing is owed; empty: that makes no difference. `many`: by a glob.
 */
export const ACTIONS = [
  {
    name: 'wake',
    description: 'try a destination now; its backoff stays if that fails',
    done: 'is tried now',
    many: 'are tried, one after the other',
    noted: '',
    idle: 'is owed nothing, so there is nothing to try now',
  },
  {
    name: 'reset',
    description: "forget a destination's failures, 429 and 410 included, and try it now",
    done: 'is tried now; its failures are forgotten',
    many: 'are tried, one after the other; their failures are forgotten',
    noted: 'has its failures forgotten',
    idle: 'is owed nothing, so there is nothing to try now; its failures are forgotten',
  },
  {
    name: 'pause',
    description: 'stop sending to a destination; what is owed is kept',
    done: 'is paused',
    many: 'are paused',
    noted: 'is paused',
    idle: '',
  },
  {
    name: 'resume',
    description: 'send to a paused destination again',
    done: 'is resumed',
    many: 'are resumed',
    noted: 'is resumed',
    idle: '',
  },
  {
    name: 'skip',
    description: 'give up what is owed to a destination up to now; what comes later is sent',
    done: 'is not sent what was owed to it up to now',
    many: 'are not sent what was owed to them up to now; this is carried out one after the other',
    noted: 'will not be sent what was owed to it up to now',
    idle: '',
  },
] as const

export type Action = (typeof ACTIONS)[number]
