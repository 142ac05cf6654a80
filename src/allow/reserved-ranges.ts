/**
 * Which addresses does no public server have? The default of `federation.ip_denylist`.
 *
 * From IANA's registries of special-purpose addresses (IPv4 and IPv6, RFC 6890 and 8190), of multicast, and of the IPv6
 * address space: outside 2000::/3 nothing is given to anybody. Prefixes that have an IPv4 address in them are left out:
 * such an address is judged by the one inside (`embedded-ipv4.ts`). Blocks of the registry that are reachable from
 * everywhere (AS112, AMT) are public, except those inside 192.0.0.0/24 and 2001::/23, where no homeserver can be.
 */

export interface ReservedRange {
  readonly what: string
  readonly range: string
  readonly except?: readonly string[]
}

/** Where several have an address, the first says what it is. */
export const RESERVED_RANGES: readonly ReservedRange[] = [
  { what: 'this network', range: '0.0.0.0/8' },
  { what: 'private', range: '10.0.0.0/8' },
  { what: 'shared by customers of a provider', range: '100.64.0.0/10' },
  { what: 'loopback', range: '127.0.0.0/8' },
  { what: 'link-local', range: '169.254.0.0/16' },
  { what: 'private', range: '172.16.0.0/12' },
  { what: 'IETF protocols', range: '192.0.0.0/24' },
  { what: 'documentation', range: '192.0.2.0/24' },
  { what: '6to4 relays', range: '192.88.99.0/24' },
  { what: 'private', range: '192.168.0.0/16' },
  { what: 'benchmarks', range: '198.18.0.0/15' },
  { what: 'documentation', range: '198.51.100.0/24' },
  { what: 'documentation', range: '203.0.113.0/24' },
  { what: 'multicast', range: '224.0.0.0/4' },
  { what: 'broadcast', range: '255.255.255.255/32' },
  { what: 'reserved', range: '240.0.0.0/4' },
  { what: 'unspecified', range: '::/128' },
  { what: 'loopback', range: '::1/128' },
  { what: 'discarded', range: '100::/64' },
  { what: 'dummy', range: '100:0:0:1::/64' },
  { what: 'benchmarks', range: '2001:2::/48' },
  { what: 'IETF protocols', range: '2001::/23', except: ['2001::/32'] },
  { what: 'documentation', range: '2001:db8::/32' },
  { what: 'documentation', range: '3fff::/20' },
  { what: 'segment routing', range: '5f00::/16' },
  { what: 'private', range: 'fc00::/7' },
  { what: 'link-local', range: 'fe80::/10' },
  { what: 'site-local', range: 'fec0::/10' },
  { what: 'multicast', range: 'ff00::/8' },
  {
    what: 'reserved',
    range: '::/3',
    except: ['::/96', '::ffff:0:0/96', '::ffff:0:0:0/96', '64:ff9b::/96', '64:ff9b:1::/48'],
  },
  { what: 'reserved', range: '4000::/2' },
  { what: 'reserved', range: '8000::/1' },
]
