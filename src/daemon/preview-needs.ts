/** With what is a preview planned? As a transaction is, by the configuration of the moment. */
import type { Config } from '../config/config.ts'
import type { PreviewNeeds } from '../deliver/preview.ts'
import type { Clock } from '../pace/clock.ts'
import { eduSettings } from './delivery-settings.ts'

export const previewNeedsOf = (config: () => Config, clock: Clock): Omit<PreviewNeeds, 'pool'> => ({
  ...{ clock, origin: config().server_name, edus: eduSettings(config) },
  deadline: {
    get long_outage_ms() {
      return config().federation.long_outage_ms
    },
  },
  get catchUp() {
    return config().catch_up
  },
  get maxPdus() {
    return config().federation.max_pdus
  },
  get maxBodyBytes() {
    return config().federation.max_body_bytes
  },
})
