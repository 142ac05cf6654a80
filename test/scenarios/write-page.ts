/** Writes `docs/scenarios.md`. */
import { writeFileSync } from 'node:fs'
import { scenariosPage } from './page.ts'

writeFileSync(process.argv[2] ?? 'docs/scenarios.md', await scenariosPage())
