/**
 * The environment for a limpet that a test starts: this process' own, without what is meant for the tests
 * (`LIMPET_KILLS`, `LIMPET_REQUIRE_REDIS`). That is no setting of limpet, which refuses what it does not know.
 */
export function inherited(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('LIMPET_')))
}
