/** The parameters by which a list is paged. */
import { z } from 'zod'

/** `orders`: the fields that it may be ordered by, the first one by default. */
export const pageQuery = (orders: readonly [string, ...string[]], dir: 'f' | 'b' = 'f') => ({
  from: z.int().min(0).optional().describe('`next_token` of the page before.'),
  limit: z.int().min(1).max(1000).optional().describe('Default: 100.'),
  order_by: z.enum(orders).optional().describe(`Default: \`${orders[0]}\`.`),
  dir: z.enum(['f', 'b']).optional().describe(`Forwards or backwards. Default: \`${dir}\`.`),
})

export const yesOrNo = z.enum(['true', 'false'])
