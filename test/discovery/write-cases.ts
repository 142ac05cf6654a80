/** Writes `docs/discovery-cases.md`. */
import { writeFileSync } from 'node:fs'
import { casesPage } from './cases-page.ts'

writeFileSync(process.argv[2] ?? 'docs/discovery-cases.md', await casesPage())
