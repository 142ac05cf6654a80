/** Writes the pages of the reference into `docs/`. */
import { writeFileSync } from 'node:fs'
import { PAGES } from './pages.ts'

for (const [name, make] of Object.entries(PAGES)) writeFileSync(`docs/${name}`, await make())
