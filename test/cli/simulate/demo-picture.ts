/** The picture of the demo for readers, as SVG. */
import { drawMoment } from './demo-moment.ts'
import { terminalSvg } from './terminal-picture.ts'

export const DEMO_PICTURE = 'docs/demo.svg'

export async function demoPicture(): Promise<string> {
  const title = 'npm run demo: one server is away, one is dead, all others get what they are owed'
  return terminalSvg(await drawMoment(), { title, columns: 80 })
}
