/** The settings that delivery asks for whenever it uses one, so that a SIGHUP applies to the next transaction. */
import type { Config } from '../config/config.ts'
import type { BackoffSettings } from '../deliver/rules/backoff.ts'
import type { EduSettings } from '../deliver/edus.ts'
import type { DeadlineSettings } from '../deliver/rules/deadline.ts'

/** The type of what a setting of `federation.edus` switches. */
const EDU_TYPES = { presence: 'm.presence', typing: 'm.typing', receipts: 'm.receipt' } as const

/** Each property is of the moment in which it is read. */
export function eduSettings(config: () => Config): EduSettings {
  return {
    get maxEdus() {
      return config().federation.max_edus
    },
    get off() {
      const { edus } = config().federation
      const off = (Object.keys(EDU_TYPES) as (keyof typeof EDU_TYPES)[]).filter((kind) => !edus[kind])
      return new Set(off.map((kind) => EDU_TYPES[kind]))
    },
    get durableMs() {
      return config().retention.durable_edus_ms
    },
  }
}

/** Each property is of the moment in which it is read; `backoff`, `deadline` and `edus` may be kept. */
export function deliverySettings(config: () => Config) {
  const backoff: BackoffSettings = {
    get first_ms() {
      return config().federation.backoff.first_ms
    },
    get multiplier() {
      return config().federation.backoff.multiplier
    },
    get max_ms() {
      return config().federation.backoff.max_ms
    },
    get jitter() {
      return config().federation.backoff.jitter
    },
    get dead_after_ms() {
      return config().federation.dead_after_ms
    },
  }
  const deadline: DeadlineSettings = {
    get deadline_retries() {
      return config().sticky.deadline_retries
    },
    get deadline_retry_min_ms() {
      return config().sticky.deadline_retry_min_ms
    },
    get long_outage_ms() {
      return config().federation.long_outage_ms
    },
  }
  return {
    ...{ backoff, deadline },
    get catchUp() {
      return config().catch_up
    },
    get requestTimeoutMs() {
      return config().federation.request_timeout_ms
    },
    edus: eduSettings(config),
    get maxPdus() {
      return config().federation.max_pdus
    },
    get maxBodyBytes() {
      return config().federation.max_body_bytes
    },
  }
}
