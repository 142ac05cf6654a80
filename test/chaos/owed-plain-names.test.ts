import { upgradeOwing } from '../e2e/owed-plain-names.ts'
import { AT_LENGTH } from './length.ts'

describe('what was owed to thousands of plain names before the upgrade', function () {
  this.timeout(600_000)

  it('comes at once, in turn, and none is lost', () =>
    AT_LENGTH ? upgradeOwing(5_000, 50) : upgradeOwing(1_000, 50))
})
