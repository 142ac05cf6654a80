/** The settings that delivery asks for whenever it uses one, so that a SIGHUP applies to the next transaction. */
import type { Config } from '../config/config.ts'
import type { BackoffSettings } from '../deliver/rules/backoff.ts'
import type { EduSettings } from '../deliver/edus.ts'
import type { DeadlineSettings } from '../deliver/rules/deadline.ts'

const NONE_OFF: ReadonlySet<string> = new Set()
const DURABLE_MS = 30 * 86_400_000

/** Each property is of the moment in which it is read; `backoff` and `deadline` may be kept. */
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
    edus: {
      get maxEdus() {
        return config().federation.max_edus
      },
      off: NONE_OFF,
      durableMs: DURABLE_MS,
    } satisfies EduSettings,
    get maxPdus() {
      return config().federation.max_pdus
    },
    get maxBodyBytes() {
      return config().federation.max_body_bytes
    },
  }
}
