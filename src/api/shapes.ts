/**
 * What the shapes of requests and answers are made of, and the two lists of those that have a name in the reference.
 *
 * Shapes describe: the daemon reads requests by code of its own, and tests hold every answer against its shape (`test/support/check-answers.ts`).
 * So they are strict here, and a field that is answered and not described turns a test red; the reference says that fields may be added.
 */
import { z } from 'zod'

interface ShapeName {
  id: string
}

/** Shapes of answers by name, as `#/components/schemas/NAME`. */
export const answerShapes = z.registry<ShapeName>()
/** Shapes of what is sent to limpet. */
export const requestShapes = z.registry<ShapeName>()

/** `about`: one or two sentences. */
export function answer<T extends z.core.$ZodLooseShape>(id: string, shape: T, about = '') {
  const made = about === '' ? z.strictObject(shape) : z.strictObject(shape).describe(about)
  answerShapes.add(made, { id })
  return made
}

export function request<T extends z.core.$ZodLooseShape>(id: string, shape: T, about = '') {
  const made = about === '' ? z.strictObject(shape) : z.strictObject(shape).describe(about)
  requestShapes.add(made, { id })
  return made
}

/** Zero or more. */
export const count = z.int().min(0)
/** A moment, ms since the epoch. */
export const time = z.int().describe('Milliseconds since the epoch.')
export const position = count.describe('A position in the stream.')
export const server = z.string().describe('A server name.')
export const roomId = z.string()
export const eventId = z.string()

/** One page of a list that stands under `list`. */
export const page = <List extends string, Row extends z.ZodType>(id: string, list: List, row: Row) =>
  answer(id, {
    ...({ [list]: z.array(row) } as Record<List, z.ZodArray<Row>>),
    total: count.describe('Rows of the whole list.'),
    next_token: z.string().optional().describe('`from` of the next page; absent where there is no more.'),
  })
