/** `limpet/client`: both APIs of limpet for Node.js, typed. It needs nothing but Node's `fetch`, and loads nothing of the daemon. */
export { makeAdmin } from './admin.ts'
export type { LimpetAdmin } from './admin.ts'
export type { LimpetAction, LimpetAnswer, LimpetBlock, LimpetItem } from './answers.ts'
export { LimpetError } from './ask.ts'
export type { LimpetOptions } from './ask.ts'
export { digestOf, makeProducer } from './producer.ts'
export type { Fed, ListedPage, Producer, ProducerOptions, SourceTokens } from './producer.ts'
