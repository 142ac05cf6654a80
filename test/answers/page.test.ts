import { expect } from 'chai'
import { readFileSync } from 'node:fs'
import { answersPage } from './page.ts'

describe('docs/answers.md', () => {
  it('says what the tests ask: npx tsx test/answers/write-page.ts', async () => {
    const page = readFileSync(new URL('../../docs/answers.md', import.meta.url), 'utf8')
    expect(page).to.equal(await answersPage())
  })
})
