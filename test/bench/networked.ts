/**
 * `limpet run` in a network of its own: other ports than 443, 8448 and 53, which are no settings. Its arguments are the
 * configuration file, the roles, and the ports as JSON. Everything else is as in `src/main.ts` and `src/cli/run.ts`.
 */
import { setFlagsFromString } from 'node:v8'
import { untilSignal } from '../../src/cli/run.ts'
import { loadConfig } from '../../src/config/config.ts'
import { startDaemon, type Role } from '../../src/daemon/daemon.ts'
import type { Network } from '../../src/daemon/open-outbound.ts'
import { makeLog } from '../../src/observe/log.ts'

setFlagsFromString('--heap-growing-percent=50')
const [file, roles = '', ports = ''] = process.argv.slice(2)
const read = () => loadConfig({ file, env: {} })
const config = read()
const log = makeLog({ level: config.log.level, pretty: false })
const network: Network = {
  ports: JSON.parse(ports) as Network['ports'],
  resolvConfPath: '/nowhere/resolv.conf',
  hostsPath: '/nowhere/hosts',
}
await untilSignal(process, {
  start: async () => {
    const started = { config, roles: roles.split(',') as Role[], listen: config.listen, log, network }
    const daemon = await startDaemon(started)
    return { ...daemon, reload: () => daemon.reload(read) }
  },
  exitNow: (status) => process.exit(status),
  now: () => performance.now(),
  log,
})
process.exit(0)
