/**
 * Mocha's own report, closed by one line that machines can read: `N passed, N failed, N skipped`.
 * Above it stands why something was skipped, e.g. `skipped: no redis-server`, and which files took longest
 * (`MOCHA_SLOWEST` of them, otherwise ten).
 */
import Mocha from 'mocha'
import { slowest, takeNotes } from './file-times.ts'
import { skipReasons } from './skip.ts'

export default class CountReporter extends Mocha.reporters.Spec {
  override epilogue(): void {
    super.epilogue()
    const say = (line: string) => Mocha.reporters.Base.consoleLog(line)
    const shown = Number(process.env['MOCHA_SLOWEST'] ?? 10)
    for (const line of slowest(takeNotes(), shown)) say(line)
    for (const reason of skipReasons()) say(`skipped: ${reason}`)
    const { passes, failures, pending } = this.stats
    say(`${passes} passed, ${failures} failed, ${pending} skipped`)
  }
}
