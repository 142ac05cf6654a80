/** With what is a preview planned? As a transaction is. */
import type { Config } from '../config/config.ts'
import type { PreviewNeeds } from '../deliver/preview.ts'
import type { Clock } from '../pace/clock.ts'

export const previewNeedsOf = (
  { server_name, catch_up, federation }: Config,
  clock: Clock,
): Omit<PreviewNeeds, 'pool'> => ({
  ...{ clock, origin: server_name, catchUp: catch_up },
  ...{ maxPdus: federation.max_pdus, maxBodyBytes: federation.max_body_bytes },
})
