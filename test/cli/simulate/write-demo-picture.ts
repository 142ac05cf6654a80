/** Writes the picture of the demo: `npx tsx test/cli/simulate/write-demo-picture.ts`. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { HERE } from '../../support/built.ts'
import { DEMO_PICTURE, demoPicture } from './demo-picture.ts'

writeFileSync(join(HERE, DEMO_PICTURE), await demoPicture())
