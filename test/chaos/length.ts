/**
 * How much the crash tests do: a little in `npm test`, everything in `npm run test:chaos` (docs/chaos.md).
 * `LIMPET_CHAOS=long` turns on what is left out otherwise, `LIMPET_KILLS` is how often processes are killed.
 */
export const AT_LENGTH = process.env['LIMPET_CHAOS'] === 'long'
export const KILLS = Number(process.env['LIMPET_KILLS'] ?? (AT_LENGTH ? 50 : 10))

/** `it`, but only at length. */
export const itAtLength: (title: string, test: Mocha.AsyncFunc) => void = AT_LENGTH ? it : () => undefined
