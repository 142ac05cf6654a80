/** Reports of server discovery as the daemon makes them, for tests of how they are passed on and shown. */
import type { Discovered } from '../../../src/discovery/discovery.ts'
import { reportOf, type DiscoveryReport } from '../../../src/discovery/report.ts'
import type { ServerName } from '../../../src/matrix/ids.ts'

/** An address, which nothing has to be asked about. */
export function foundReport(name: ServerName): DiscoveryReport {
  const found: Discovered = {
    kind: 'found',
    leftMs: null,
    targets: [
      {
        addresses: ['192.0.2.7'],
        port: 8448,
        tlsName: '192.0.2.7',
        sni: null,
        hostHeader: name,
        proxy: null,
      },
    ],
    route: {
      step: '1',
      places: [{ host: { name: '192.0.2.7', literal: true }, port: 8448 }],
      ...{ tlsName: '192.0.2.7', sni: null, hostHeader: name },
    },
    steps: [{ step: '1', asked: null, outcome: `${name} is an IP address`, durationMs: 0, cache: null }],
    places: [
      {
        ...{ host: '192.0.2.7', port: 8448, addresses: ['192.0.2.7'], refused: [], cname: null },
        ...{ trouble: null, durationMs: 0, cache: null, proxy: null },
      },
    ],
  }
  return reportOf(name, found, null)
}
