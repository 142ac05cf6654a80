/** Reports of server discovery, one of each kind, as the daemon makes them. */
import type { DiscoveryReport } from '../../../src/discovery/report.ts'

type Cache = DiscoveryReport['places'][number]['cache']

const asked = (leftMs: number): Cache => ({ state: 'asked', age_ms: 3, left_ms: leftMs, failures: 0 })
const HOUR = 3_600_000
const nowhere = {
  ...{ connects_to: [], step: null, host_header: null, certificate_name: null, error: null, blocked: null },
  ...{ steps: [], places: [] },
}
const place = { addresses: [], refused: [], cname: null, error: null, proxy: null, ms: 0, cache: null }

/** An address: nothing has to be asked. */
const literal: DiscoveryReport = {
  ...nowhere,
  destination: '192.0.2.7:8449',
  connects_to: [{ address: '192.0.2.7', port: 8449, via_proxy: null }],
  ...{ step: '1', host_header: '192.0.2.7:8449', certificate_name: '192.0.2.7' },
  steps: [{ step: '1', asked: null, outcome: '192.0.2.7:8449 is an IP address', ms: 0, cache: null }],
  places: [{ ...place, host: '192.0.2.7', port: 8449, addresses: ['192.0.2.7'] }],
}

/** `.well-known`, then SRV with two targets; one address is private, and one name is an alias. */
const delegated: DiscoveryReport = {
  ...nowhere,
  destination: 'example.org',
  connects_to: [
    { address: '192.0.2.7', port: 8449, via_proxy: null },
    { address: '2001:db8::7', port: 8449, via_proxy: null },
    { address: '192.0.2.8', port: 8450, via_proxy: null },
  ],
  ...{ step: '3.3', host_header: 'hs.example.org', certificate_name: 'hs.example.org' },
  steps: [
    {
      step: '3',
      asked: 'https://example.org/.well-known/matrix/server',
      outcome: 'm.server is hs.example.org (https://www.example.org/.well-known/matrix/server)',
      ms: 41,
      cache: asked(24 * HOUR),
    },
    {
      step: '3.3',
      asked: 'SRV _matrix-fed._tcp.hs.example.org',
      outcome: 'a.example.org port 8449, b.example.org port 8450',
      ms: 12,
      cache: { state: 'fresh', age_ms: 200_000, left_ms: 100_000, failures: 0 },
    },
  ],
  places: [
    {
      ...{ ...place, host: 'a.example.org', port: 8449, addresses: ['192.0.2.7', '2001:db8::7'], ms: 9 },
      refused: ['10.1.2.3 may not be connected to (10.0.0.0/8: private)'],
      cache: asked(HOUR),
    },
    {
      ...{ ...place, host: 'b.example.org', port: 8450, addresses: ['192.0.2.8'], ms: 9 },
      ...{ cname: 'c.example.net', cache: { ...asked(HOUR)!, state: 'shared' } },
    },
  ],
}

/** Its only address is a private one. */
const refused: DiscoveryReport = {
  ...nowhere,
  destination: 'inside.example',
  ...{ step: '6', host_header: 'inside.example', certificate_name: 'inside.example' },
  error:
    'inside.example: no address may be connected to: 10.1.2.3 may not be connected to (10.0.0.0/8: private)',
  steps: [
    {
      step: '6',
      asked: null,
      outcome: 'no SRV record leads on: inside.example, port 8448',
      ms: 0,
      cache: null,
    },
  ],
  places: [
    {
      ...{ ...place, host: 'inside.example', port: 8448, ms: 2, cache: asked(300_000) },
      refused: ['10.1.2.3 may not be connected to (10.0.0.0/8: private)'],
      error: 'no address may be connected to: 10.1.2.3 may not be connected to (10.0.0.0/8: private)',
    },
  ],
}

const blocked: DiscoveryReport = {
  ...literal,
  blocked: '192.0.2.* is in federation.domain_denylist',
}

/** A proxy looks the name up. */
const proxied: DiscoveryReport = {
  ...nowhere,
  destination: 'far.example:443',
  connects_to: [{ address: 'far.example', port: 443, via_proxy: 'proxy.example:3128' }],
  ...{ step: '2', host_header: 'far.example:443', certificate_name: 'far.example' },
  steps: [{ step: '2', asked: null, outcome: 'far.example:443 is a name with a port', ms: 0, cache: null }],
  places: [
    { ...place, host: 'far.example', port: 443, addresses: ['far.example'], proxy: 'proxy.example:3128' },
  ],
}

/** SRV says that there is no such service. */
const failed: DiscoveryReport = {
  ...nowhere,
  destination: 'none.example',
  error: 'SRV _matrix-fed._tcp.none.example: the record says that there is no such service',
  steps: [
    {
      ...{
        step: '3',
        asked: 'https://none.example/.well-known/matrix/server',
        ms: 10_000,
        cache: asked(HOUR),
      },
      outcome: 'could not connect to 192.0.2.9:443 (ETIMEDOUT)',
    },
    {
      ...{ step: '4', asked: 'SRV _matrix-fed._tcp.none.example', ms: 4, cache: asked(300_000) },
      outcome: 'the record says that there is no such service',
    },
  ],
}

/** What is remembered is past its time, and asking for it anew fails. */
const stale: DiscoveryReport = {
  ...nowhere,
  destination: 'old.example',
  connects_to: [{ address: '192.0.2.10', port: 443, via_proxy: null }],
  ...{ step: '3.2', host_header: 'hs.old.example:443', certificate_name: 'hs.old.example' },
  steps: [
    {
      ...{ step: '3', asked: 'https://old.example/.well-known/matrix/server', ms: 2_000 },
      outcome: 'm.server is hs.old.example:443',
      cache: { state: 'stale', age_ms: 26 * HOUR, left_ms: -2 * HOUR, failures: 1 },
    },
    { step: '3.2', asked: null, outcome: 'hs.old.example:443 is a name with a port', ms: 0, cache: null },
  ],
  places: [
    {
      ...{ ...place, host: 'hs.old.example', port: 443, addresses: ['192.0.2.10'], ms: 0 },
      cache: { state: 'fresh', age_ms: 0, left_ms: 59_000, failures: 0 },
    },
  ],
}

export const REPORTS = { literal, delegated, refused, blocked, proxied, failed, stale } as const
