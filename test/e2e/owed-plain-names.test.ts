import { upgradeOwing } from './owed-plain-names.ts'

describe('what was owed to plain names before the upgrade', function () {
  this.timeout(120_000)

  // They waited for up to eight hours for a backoff that was not theirs.
  it('comes at once, in turn, and none is lost', () => upgradeOwing(100, 20))
})
