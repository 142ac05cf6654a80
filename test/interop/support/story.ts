/** A suite whose tests are the steps of one story: after a step that failed the rest says nothing and is passed over. */
export function oneStory(suite: Mocha.Suite): void {
  suite.beforeEach(function () {
    if (suite.tests.some(({ state }) => state === 'failed')) this.skip()
  })
}
