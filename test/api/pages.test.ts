import { expect } from 'chai'
import { readFileSync } from 'node:fs'
import { PAGES } from './pages.ts'

describe('the reference', () => {
  for (const [name, make] of Object.entries(PAGES))
    it(`docs/${name} says what the code says: npx tsx test/api/write-pages.ts`, async () => {
      const page = readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')
      expect(page).to.equal(await make())
    })
})
