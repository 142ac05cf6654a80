import { expect } from 'chai'
import { readFileSync } from 'node:fs'
import { casesPage } from './cases-page.ts'

describe('docs/discovery-cases.md', () => {
  it('says what the tests ask: npx tsx test/discovery/write-cases.ts', async () => {
    const page = readFileSync(new URL('../../docs/discovery-cases.md', import.meta.url), 'utf8')
    expect(page).to.equal(await casesPage())
  })
})
