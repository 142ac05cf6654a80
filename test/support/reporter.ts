/**
 * Mocha's own report, closed by one line that machines can read: `N passed, N failed, N skipped`.
 * Above it stands why something was skipped, e.g. `skipped: no redis-server`.
 */
import Mocha from 'mocha'
import { skipReasons } from './skip.ts'

export default class CountReporter extends Mocha.reporters.Spec {
  override epilogue(): void {
    super.epilogue()
    for (const reason of skipReasons()) Mocha.reporters.Base.consoleLog(`skipped: ${reason}`)
    const { passes, failures, pending } = this.stats
    Mocha.reporters.Base.consoleLog(`${passes} passed, ${failures} failed, ${pending} skipped`)
  }
}
