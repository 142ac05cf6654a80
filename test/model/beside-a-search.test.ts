/** What a search for refused PDUs was once broken by, again. */
import { memoryDatabase } from './database.ts'
import { runSchedule } from './run.ts'
import { SHOWN } from './shown-beside-a-search.ts'

describe('a search, and what else happens', function () {
  this.timeout(60_000)
  for (const [name, schedule] of Object.entries(SHOWN))
    it(name, () => runSchedule(memoryDatabase({}, new Set()), schedule))
})
