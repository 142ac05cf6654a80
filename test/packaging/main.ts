/**
 * Are the ways to install limpet on a server as their pages say? Each is gone through on a machine of its own (`machine.ts`).
 *
 *   npm run test:packaging [-- systemd|container]
 *
 * For root, on Linux, with Debian's packages and npm's registry. It takes minutes, so nothing else runs it.
 */
import { clearLeftovers } from '../support/leftovers.ts'
import { followContainerfile } from './container.ts'
import { followSystemdPage } from './systemd.ts'

const WAYS: Readonly<Record<string, (say: (line: string) => void) => Promise<void>>> = {
  systemd: followSystemdPage,
  container: followContainerfile,
}

const asked = process.argv.slice(2)
let failed = 0
for (const name of asked.length === 0 ? Object.keys(WAYS) : asked) {
  const began = performance.now()
  try {
    const way = WAYS[name]
    if (way === undefined) throw new Error(`not one of ${Object.keys(WAYS).join(', ')}`)
    await way((line) => {
      console.log(line)
    })
    console.log(`-- ${name}: good, ${Math.round((performance.now() - began) / 1000)} s`)
  } catch (error) {
    failed += 1
    console.log(`-- ${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
  }
}
await clearLeftovers()
process.exit(failed === 0 ? 0 : 1)
