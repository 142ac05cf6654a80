/**
 * Where each server name leads: the specification's table, and what was reported of other servers, as data.
 *
 * The tests ask real servers on loopback (`cases.test.ts`), and `docs/discovery-cases.md` is written from it. D numbers:
 * D1 to D6 are the rows of the specification's steps, D7 to D12 its rules for redirects, caching, parsing, SRV and names.
 */
import type { SpecStep } from '../../src/discovery/steps.ts'
import type { Case, Found, Page } from './situation.ts'

const HOUR = 3_600_000

/** A host name is the Host header, the SNI and the certificate's name, unless the row says otherwise. */
const to = (step: SpecStep, name: string, connect: string | string[], differs: Partial<Found> = {}) => ({
  found: { step, connect: [connect].flat(), host: name, sni: name, certificate: name, ...differs },
})
const discovery = (message: string) => ({ failed: { stage: 'discovery' as const, message } })
const address = (message: string) => ({ failed: { stage: 'address' as const, message } })
const delegates = (server: string, headers = {}): Page => ({
  body: JSON.stringify({ 'm.server': server }),
  headers,
})
const redirects = (location: string, status = 301): Page => ({ status, headers: { location } })
/** Nothing delegates: neither `.well-known` nor SRV. */
const PLAIN: SpecStep[] = ['3', '4', '5', '6']
const plainly = { steps: PLAIN, ...to('6', 'a.example', 'a.example:8448') }

const LITERALS: Case[] = [
  {
    row: 'D1',
    about: 'an IPv4 address',
    name: '127.0.0.1',
    situation: {},
    steps: ['1'],
    ...to('1', '127.0.0.1', '127.0.0.1:8448', { sni: null }),
  },
  {
    row: 'D1',
    about: 'an IPv4 address with a port',
    name: '127.0.0.1:443',
    situation: {},
    steps: ['1'],
    ...to('1', '127.0.0.1:443', '127.0.0.1:443', { sni: null, certificate: '127.0.0.1' }),
  },
  {
    row: 'D1',
    about: 'an IPv6 address',
    name: '[::1]',
    situation: {},
    steps: ['1'],
    ...to('1', '[::1]', '[::1]:8448', { sni: null, certificate: '::1' }),
  },
  {
    row: 'D1',
    about: 'an IPv6 address with a port',
    name: '[::1]:8000',
    situation: {},
    steps: ['1'],
    ...to('1', '[::1]:8000', '[::1]:8000', { sni: null, certificate: '::1' }),
  },
  {
    row: 'D1',
    about: 'an address that may not be connected to',
    reports: ['44'],
    name: '127.0.66.1',
    situation: {},
    steps: ['1'],
    ...address('127.0.66.1: no address may be connected to'),
  },
  {
    row: 'D2',
    about: 'a name with a port: neither `.well-known` nor SRV is asked',
    name: 'a.example:8000',
    situation: {
      web: { 'a.example': delegates('b.example') },
      srv: { '_matrix-fed._tcp.a.example': ['10 0 1 c.example'] },
    },
    steps: ['2'],
    ...to('2', 'a.example:8000', 'a.example:8000', { sni: 'a.example', certificate: 'a.example' }),
  },
  {
    row: 'D2',
    about: 'a name with the port that is usual',
    name: 'a.example:8448',
    situation: {},
    steps: ['2'],
    ...to('2', 'a.example:8448', 'a.example:8448', { sni: 'a.example', certificate: 'a.example' }),
  },
]

const DELEGATED: Case[] = [
  {
    row: 'D3.1',
    about: 'delegated to an IPv4 address',
    name: 'a.example',
    situation: { web: { 'a.example': delegates('127.0.0.1') } },
    steps: ['3', '3.1'],
    ...to('3.1', '127.0.0.1', '127.0.0.1:8448', { sni: null }),
  },
  {
    row: 'D3.1',
    about: 'delegated to an IPv4 address with a port',
    name: 'a.example',
    situation: { web: { 'a.example': delegates('127.0.0.1:443') } },
    steps: ['3', '3.1'],
    ...to('3.1', '127.0.0.1:443', '127.0.0.1:443', { sni: null, certificate: '127.0.0.1' }),
  },
  {
    row: 'D3.1',
    about: 'delegated to an IPv6 address with a port',
    name: 'a.example',
    situation: { web: { 'a.example': delegates('[::1]:443') } },
    steps: ['3', '3.1'],
    ...to('3.1', '[::1]:443', '[::1]:443', { sni: null, certificate: '::1' }),
  },
  {
    row: 'D3.1',
    about: 'delegated to an address that may not be connected to',
    reports: ['44'],
    name: 'a.example',
    situation: { web: { 'a.example': delegates('127.0.66.1:443') } },
    steps: ['3', '3.1'],
    ...address('127.0.66.1: no address may be connected to'),
  },
  {
    row: 'D3.1',
    about: 'delegated to such an address, written inside IPv6',
    reports: ['44', '45'],
    name: 'a.example',
    situation: { web: { 'a.example': delegates('[::ffff:127.0.66.1]:443') } },
    steps: ['3', '3.1'],
    ...address('::ffff:127.0.66.1: no address may be connected to'),
  },
  {
    row: 'D3.2',
    about: 'delegated to a name with a port: SRV is not asked',
    name: 'a.example',
    situation: {
      web: { 'a.example': delegates('b.example:443') },
      srv: { '_matrix-fed._tcp.b.example': ['10 0 1 c.example'] },
    },
    steps: ['3', '3.2'],
    ...to('3.2', 'b.example:443', 'b.example:443', { sni: 'b.example', certificate: 'b.example' }),
  },
  {
    row: 'D3.3',
    about: 'delegated to a name with SRV: its target is neither in Host nor in the certificate',
    reports: ['42'],
    name: 'a.example',
    situation: {
      web: { 'a.example': delegates('b.example') },
      srv: {
        '_matrix-fed._tcp.b.example': ['10 0 8000 c.example'],
        '_matrix._tcp.b.example': ['10 0 1 d.example'],
      },
    },
    steps: ['3', '3.3'],
    ...to('3.3', 'b.example', 'c.example:8000'),
  },
  {
    row: 'D3.4',
    about: 'delegated to a name with the deprecated SRV',
    name: 'a.example',
    situation: {
      web: { 'a.example': delegates('b.example') },
      srv: { '_matrix._tcp.b.example': ['10 0 8000 c.example'] },
    },
    steps: ['3', '3.3', '3.4'],
    ...to('3.4', 'b.example', 'c.example:8000'),
  },
  {
    row: 'D3.5',
    about: 'delegated to a name without SRV',
    name: 'a.example',
    situation: { web: { 'a.example': delegates('b.example') } },
    steps: ['3', '3.3', '3.4', '3.5'],
    ...to('3.5', 'b.example', 'b.example:8448'),
  },
  {
    row: 'D3',
    about: 'the delegated name has a `.well-known` of its own: not followed',
    reports: ['36'],
    name: 'a.example',
    situation: { web: { 'a.example': delegates('b.example'), 'b.example': delegates('c.example') } },
    steps: ['3', '3.3', '3.4', '3.5'],
    ...to('3.5', 'b.example', 'b.example:8448'),
  },
  {
    row: 'D3',
    about: 'delegated to itself',
    reports: ['36'],
    name: 'a.example',
    situation: { web: { 'a.example': delegates('a.example') } },
    steps: ['3', '3.3', '3.4', '3.5'],
    ...to('3.5', 'a.example', 'a.example:8448'),
  },
  {
    row: 'D3',
    about: 'the certificate of `.well-known` is for another name',
    name: 'a.example',
    situation: { web: { 'a.example': 'certificate for another name' } },
    ...plainly,
    says: { '3': 'certificate is for another name' },
  },
  {
    row: 'D3',
    about: 'the certificate of `.well-known` has expired',
    name: 'a.example',
    situation: { web: { 'a.example': 'expired certificate' } },
    ...plainly,
    says: { '3': 'certificate has expired' },
  },
  {
    row: 'D3',
    about: 'the certificate of `.well-known` is from a stranger',
    name: 'a.example',
    situation: { web: { 'a.example': 'unknown authority' } },
    ...plainly,
    says: { '3': 'unknown authority' },
  },
]

const UNDELEGATED: Case[] = [
  {
    row: 'D4',
    about: 'SRV: its target is neither in Host nor in the certificate',
    reports: ['42'],
    name: 'a.example',
    situation: {
      srv: {
        '_matrix-fed._tcp.a.example': ['10 0 8000 c.example'],
        '_matrix._tcp.a.example': ['10 0 1 d.example'],
      },
    },
    steps: ['3', '4'],
    ...to('4', 'a.example', 'c.example:8000'),
  },
  {
    row: 'D5',
    about: 'the deprecated SRV',
    name: 'a.example',
    situation: { srv: { '_matrix._tcp.a.example': ['10 0 8000 c.example'] } },
    steps: ['3', '4', '5'],
    ...to('5', 'a.example', 'c.example:8000'),
  },
  {
    row: 'D6',
    about: 'neither `.well-known` nor SRV',
    name: 'a.example',
    situation: {},
    ...plainly,
    says: { '3': 'answered 404: no delegation', '4': 'no such record' },
  },
  {
    row: 'D6',
    about: 'the name has no address',
    name: 'a.example',
    situation: { addresses: { 'a.example': 'none' } },
    steps: PLAIN,
    ...address('a.example: the name has no address'),
    says: { '3': 'the name has no address' },
  },
  {
    row: 'D6',
    about: 'the name cannot be looked up',
    name: 'a.example',
    situation: { addresses: { 'a.example': 'SERVFAIL' } },
    steps: PLAIN,
    ...address('a.example: the name could not be looked up: SERVFAIL'),
  },
  {
    row: 'D6',
    about: 'the name has only an IPv6 address',
    name: 'a.example',
    situation: { addresses: { 'a.example': ['::1'] } },
    ...plainly,
    says: { '3': 'answered 404' },
  },
  {
    row: 'D6',
    about: 'one of two addresses may not be connected to: the other one is used',
    reports: ['44'],
    name: 'a.example',
    situation: { addresses: { 'a.example': ['127.0.66.1', '127.0.0.1'] } },
    ...plainly,
    says: { '3': 'answered 404' },
  },
  {
    row: 'D6',
    about: 'port 443 is closed',
    name: 'a.example',
    situation: { web: { 'a.example': 'refused' }, addresses: {} },
    ...plainly,
    says: { '3': 'nothing listens there' },
  },
  {
    row: 'D6',
    about: 'port 443 accepts and says nothing',
    reports: ['39'],
    name: 'a.example',
    situation: { web: { 'a.example': 'silent' } },
    ...plainly,
    says: { '3': 'no answer within' },
  },
  {
    row: 'D6',
    about: 'port 443 resets TLS',
    name: 'a.example',
    situation: { web: { 'a.example': 'resets' } },
    ...plainly,
    says: { '3': 'the connection was reset' },
  },
  {
    row: 'D6',
    about: 'port 443 does not speak TLS',
    name: 'a.example',
    situation: { web: { 'a.example': 'plain HTTP' } },
    ...plainly,
    says: { '3': 'does not speak TLS' },
  },
  {
    row: 'D6',
    about: 'the address of `.well-known` may not be connected to',
    reports: ['44'],
    name: 'a.example',
    situation: {
      web: { 'a.example': 'forbidden address' },
      srv: { '_matrix-fed._tcp.a.example': ['10 0 8000 c.example'] },
    },
    steps: ['3', '4'],
    ...to('4', 'a.example', 'c.example:8000'),
    says: { '3': 'no address may be connected to' },
  },
]

const redirected = {
  steps: ['3', '3.2'] as SpecStep[],
  ...to('3.2', 'b.example:1', 'b.example:1', { sni: 'b.example', certificate: 'b.example' }),
}
const chain = (hops: number) =>
  Object.fromEntries(
    Array.from({ length: hops }, (_, i) => [
      i === 0 ? 'a.example' : `a.example/${i}`,
      redirects(`/${i + 1}`),
    ]),
  )

const REDIRECTS: Case[] = [
  ...[301, 302, 303, 307, 308].map((status): Case => ({
    row: 'D7',
    about: `a redirect with ${status}`,
    reports: ['37'],
    name: 'a.example',
    situation: {
      web: { 'a.example': redirects('https://w.example/x', status), 'w.example/x': delegates('b.example:1') },
    },
    ...redirected,
  })),
  {
    row: 'D7',
    about: 'a redirect with a relative Location',
    reports: ['37'],
    name: 'a.example',
    situation: { web: { 'a.example': redirects('../../x?y'), 'a.example/x?y': delegates('b.example:1') } },
    ...redirected,
  },
  {
    row: 'D7',
    about: 'a redirect with a Location without a scheme',
    reports: ['37'],
    name: 'a.example',
    situation: { web: { 'a.example': redirects('//w.example/x'), 'w.example/x': delegates('b.example:1') } },
    ...redirected,
  },
  {
    row: 'D7',
    about: '300 and 304 are not redirects',
    name: 'a.example',
    situation: {
      web: { 'a.example': redirects('https://w.example/x', 300), 'w.example/x': delegates('b.example:1') },
    },
    ...plainly,
    says: { '3': 'answered 300' },
  },
  {
    row: 'D7',
    about: 'a redirect without a Location',
    reports: ['37'],
    name: 'a.example',
    situation: { web: { 'a.example': { status: 302 } } },
    ...plainly,
    says: { '3': 'without a Location' },
  },
  {
    row: 'D7',
    about: 'ten redirects',
    reports: ['37'],
    name: 'a.example',
    situation: { web: { ...chain(10), 'a.example/10': delegates('b.example:1') } },
    ...redirected,
  },
  {
    row: 'D7',
    about: 'eleven redirects',
    reports: ['37'],
    name: 'a.example',
    situation: { web: { ...chain(11), 'a.example/11': delegates('b.example:1') } },
    ...plainly,
    says: { '3': 'more than 10 redirects' },
  },
  {
    row: 'D7',
    about: 'a loop of redirects, and SRV: step 4',
    reports: ['38'],
    name: 'a.example',
    situation: {
      web: {
        'a.example': redirects('https://w.example/x'),
        'w.example/x': redirects('https://a.example/.well-known/matrix/server'),
      },
      srv: { '_matrix-fed._tcp.a.example': ['10 0 8000 c.example'] },
    },
    steps: ['3', '4'],
    ...to('4', 'a.example', 'c.example:8000'),
    says: { '3': 'a loop of redirects' },
  },
  {
    row: 'D7',
    about: 'a redirect to itself',
    reports: ['38'],
    name: 'a.example',
    situation: { web: { 'a.example': redirects('#') } },
    ...plainly,
    says: { '3': 'a loop of redirects' },
  },
  ...['http://w.example/x', 'ftp://w.example/x', 'data:application/json,{}', 'file:///etc/hosts'].map(
    (location): Case => ({
      row: 'D7',
      about: `a redirect to ${location}`,
      reports: ['37'],
      name: 'a.example',
      situation: { web: { 'a.example': redirects(location), 'w.example/x': delegates('b.example:1') } },
      ...plainly,
      says: { '3': 'not https' },
    }),
  ),
  {
    row: 'D7',
    about: 'a redirect with a user name',
    reports: ['37'],
    name: 'a.example',
    situation: {
      web: { 'a.example': redirects('https://me@w.example/x'), 'w.example/x': delegates('b.example:1') },
    },
    ...plainly,
    says: { '3': 'a user name in its URL' },
  },
  {
    row: 'D7',
    about: 'a redirect with a password',
    reports: ['37'],
    name: 'a.example',
    situation: {
      web: {
        'a.example': redirects('https://me:secret@w.example/x'),
        'w.example/x': delegates('b.example:1'),
      },
    },
    ...plainly,
    says: { '3': 'a user name in its URL' },
  },
  ...['127.0.66.1', '2130723329', '0x7f.0x4201', '0177.0.66.1', '127.0.16897', '[::ffff:7f00:4201]'].map(
    (host): Case => ({
      row: 'D7',
      about: `a redirect to the forbidden address 127.0.66.1, written ${host}`,
      reports: ['37', '44'],
      name: 'a.example',
      situation: { web: { 'a.example': redirects(`https://${host}/x`) } },
      ...plainly,
      says: { '3': 'no address may be connected to' },
    }),
  ),
  {
    row: 'D7',
    about: 'a redirect to a name whose address may not be connected to',
    reports: ['37', '44'],
    name: 'a.example',
    situation: { web: { 'a.example': redirects('https://w.example/x'), 'w.example': 'forbidden address' } },
    ...plainly,
    says: { '3': 'no address may be connected to' },
  },
]

const parsed = (body: string, says: string, about = `m.server: ${body}`): Case => ({
  row: 'D9',
  about,
  reports: ['36'],
  name: 'a.example',
  situation: { web: { 'a.example': { body } } },
  ...plainly,
  says: { '3': says },
})
const mServer = (value: unknown) =>
  parsed(
    JSON.stringify({ 'm.server': value }),
    typeof value === 'string' ? 'm.server is not a server name' : 'm.server is not a string',
    `\`m.server\` is ${typeof value === 'string' && value.length > 40 ? `a name of ${value.length} characters` : JSON.stringify(value)}`,
  )

const BODIES: Case[] = [
  {
    row: 'D9',
    about: 'the content type is text/html: not asked for',
    name: 'a.example',
    situation: { web: { 'a.example': delegates('b.example:1', { 'content-type': 'text/html' }) } },
    ...redirected,
  },
  {
    row: 'D9',
    about: 'further properties in the body',
    name: 'a.example',
    situation: { web: { 'a.example': { body: '{"x":[{}],"m.server":"b.example:1"}' } } },
    ...redirected,
  },
  ...[
    'https://x.example',
    'x.example/path',
    'x.example:0',
    'x.example:99999',
    'x.example:443:443',
    ' x.example',
    'x.example.',
    '[::1',
    '127.1',
    '0x7f.1',
    'x_y.example',
    '',
    'x'.repeat(300),
  ].map(mServer),
  ...[8448, null, true, ['x.example'], { x: 1 }].map(mServer),
  {
    row: 'D9',
    about: '`m.server` in upper case is a name',
    reports: ['36'],
    name: 'a.example',
    situation: { web: { 'a.example': delegates('B.Example:1') } },
    steps: ['3', '3.2'],
    ...to('3.2', 'B.Example:1', 'B.Example:1', { sni: 'B.Example', certificate: 'B.Example' }),
  },
  parsed('{}', 'm.server is missing', 'an object without `m.server`'),
  parsed('{"m.server":"b.example"', 'not JSON', 'JSON that is cut off'),
  parsed('', 'not JSON', 'an empty body'),
  parsed('["b.example"]', 'not a JSON object', 'an array'),
  parsed('"b.example"', 'not a JSON object', 'a string'),
  parsed(
    `{"m.server":"b.example:1","x":"${'x'.repeat(52_000)}"}`,
    'longer than 50 KiB',
    'a body of 52,000 bytes',
  ),
  ...[201, 204, 400, 401, 403, 410, 429, 500, 503].map((status): Case => ({
    row: 'D9',
    about: `status ${status}`,
    name: 'a.example',
    situation: { web: { 'a.example': { ...(status === 204 ? {} : delegates('b.example:1')), status } } },
    ...plainly,
    says: { '3': `answered ${status}` },
  })),
]

const SRV: Case[] = [
  {
    row: 'D12',
    about: 'the lowest priority first, the others behind it',
    reports: ['41'],
    name: 'a.example',
    situation: {
      srv: {
        '_matrix-fed._tcp.a.example': ['20 0 8002 d.example', '10 0 8001 c.example', '30 0 8003 e.example'],
      },
    },
    steps: ['3', '4'],
    ...to('4', 'a.example', ['c.example:8001', 'd.example:8002', 'e.example:8003']),
  },
  {
    row: 'D12',
    about: 'weights 1 and 65535: the heavy one first',
    name: 'a.example',
    situation: { srv: { '_matrix-fed._tcp.a.example': ['10 1 8001 c.example', '10 65535 8002 d.example'] } },
    steps: ['3', '4'],
    ...to('4', 'a.example', ['d.example:8002', 'c.example:8001']),
  },
  {
    row: 'D12',
    about: 'the first target has no address: the second is used',
    reports: ['41'],
    name: 'a.example',
    situation: {
      srv: { '_matrix-fed._tcp.a.example': ['10 0 8001 c.example', '20 0 8002 d.example'] },
      addresses: { 'c.example': 'none' },
    },
    steps: ['3', '4'],
    ...to('4', 'a.example', ['c.example:8001', 'd.example:8002']),
  },
  {
    row: 'D10',
    about: 'a target with only an IPv6 address',
    reports: ['41'],
    name: 'a.example',
    situation: {
      srv: { '_matrix-fed._tcp.a.example': ['10 0 8000 c.example'] },
      addresses: { 'c.example': ['::1'] },
    },
    steps: ['3', '4'],
    ...to('4', 'a.example', 'c.example:8000'),
  },
  {
    row: 'D10',
    about: 'a CNAME behind SRV is followed',
    reports: ['41'],
    name: 'a.example',
    situation: {
      srv: { '_matrix-fed._tcp.a.example': ['10 0 8000 c.example'] },
      cnames: { 'c.example': 'z.example' },
    },
    steps: ['3', '4'],
    ...to('4', 'a.example', 'c.example:8000'),
  },
  {
    row: 'D10',
    about: 'a target with a trailing dot',
    reports: ['41'],
    name: 'a.example',
    situation: { srv: { '_matrix-fed._tcp.a.example': ['10 0 8000 c.example.'] } },
    steps: ['3', '4'],
    ...to('4', 'a.example', 'c.example:8000'),
  },
  {
    row: 'D10',
    about: 'the target `.`: there is no such service',
    reports: ['41'],
    name: 'a.example',
    situation: {
      srv: { '_matrix-fed._tcp.a.example': ['0 0 0 .'], '_matrix._tcp.a.example': ['10 0 8000 c.example'] },
    },
    steps: ['3', '4'],
    ...discovery('SRV _matrix-fed._tcp.a.example: the record says that there is no such service'),
  },
  {
    row: 'D10',
    about: 'a target that is an IP address',
    reports: ['41'],
    name: 'a.example',
    situation: { srv: { '_matrix-fed._tcp.a.example': ['10 0 8000 127.0.0.1'] } },
    steps: ['3', '4'],
    ...to('4', 'a.example', '127.0.0.1:8000'),
  },
  {
    row: 'D10',
    about: 'a target that is an address which may not be connected to',
    reports: ['44'],
    name: 'a.example',
    situation: { srv: { '_matrix-fed._tcp.a.example': ['10 0 8000 127.0.66.1'] } },
    steps: ['3', '4'],
    ...address('127.0.66.1: no address may be connected to'),
  },
  {
    row: 'D10',
    about: 'a target that only a URL parser takes for an address, and port 0: no record',
    reports: ['41'],
    name: 'a.example',
    situation: { srv: { '_matrix-fed._tcp.a.example': ['10 0 8000 0x7f.1', '10 0 0 c.example'] } },
    ...plainly,
    says: { '4': 'no record names a host and a port' },
  },
  {
    row: 'D10',
    about: 'SRV cannot be looked up, and nothing older is known',
    reports: ['41'],
    name: 'a.example',
    situation: { srv: { '_matrix-fed._tcp.a.example': 'SERVFAIL', '_matrix._tcp.a.example': 'SERVFAIL' } },
    ...plainly,
    says: { '4': 'not known: SERVFAIL', '5': 'not known: SERVFAIL' },
  },
  {
    row: 'D10',
    about: 'the first SRV cannot be looked up, the deprecated one can',
    reports: ['41'],
    name: 'a.example',
    situation: {
      srv: { '_matrix-fed._tcp.a.example': 'SERVFAIL', '_matrix._tcp.a.example': ['10 0 8000 c.example'] },
    },
    steps: ['3', '4', '5'],
    ...to('5', 'a.example', 'c.example:8000'),
  },
  {
    row: 'D10',
    about: 'the first SRV lookup has no answer in time, the deprecated one has',
    reports: ['41'],
    name: 'a.example',
    situation: {
      srv: { '_matrix-fed._tcp.a.example': 'time-out', '_matrix._tcp.a.example': ['10 0 8000 c.example'] },
    },
    steps: ['3', '4', '5'],
    ...to('5', 'a.example', 'c.example:8000'),
    says: { '4': 'not known: time-out' },
  },
  {
    row: 'D11',
    about: 'names keep their case, and are looked up without it',
    name: 'A.Example',
    situation: {
      web: { 'a.example': { status: 404 } },
      srv: { '_matrix-fed._tcp.a.example': ['10 0 8000 C.Example'] },
    },
    steps: ['3', '4'],
    ...to('4', 'A.Example', 'C.Example:8000'),
  },
  {
    row: 'D11',
    about: 'a server name that cannot be in a URL (`xn--` is not followed by punycode)',
    name: 'xn--a.example',
    situation: {},
    steps: PLAIN,
    ...to('6', 'xn--a.example', 'xn--a.example:8448'),
    says: { '3': 'the name cannot be in a URL' },
  },
]

const known = (
  laterMs: number,
  situation: Case['situation'] = {
    web: { 'a.example': delegates('b.example:1', { 'cache-control': 'max-age=3600' }) },
  },
) => ({ before: { situation, laterMs } })
const knownSrv = (laterMs: number) =>
  known(laterMs, { srv: { '_matrix-fed._tcp.a.example': ['10 0 8000 c.example'] } })
const after = (
  about: string,
  web: Page | 'silent' | 'refused' | 'certificate for another name',
  reports = ['40'],
) => ({ row: 'D8', about, reports, name: 'a.example', situation: { web: { 'a.example': web } } })

const CACHED: Case[] = [
  {
    ...after('a delegation, and within its time another one: the first counts', delegates('c.example:2'), []),
    ...known(0.5 * HOUR),
    ...redirected,
  },
  {
    ...after('a delegation, and after its time another one: that counts at once', delegates('c.example:2')),
    ...known(1.01 * HOUR),
    steps: ['3', '3.2'],
    ...to('3.2', 'c.example:2', 'c.example:2', { sni: 'c.example', certificate: 'c.example' }),
  },
  {
    ...after('a delegation, and after its time 404: there is none any more', { status: 404 }),
    ...known(1.01 * HOUR),
    ...plainly,
  },
  {
    ...after('a delegation, and after its time 503: kept', { status: 503 }),
    ...known(1.01 * HOUR),
    ...redirected,
  },
  {
    ...after('a delegation, and after its time 403 with HTML: kept', { status: 403, body: '<html>' }),
    ...known(1.01 * HOUR),
    ...redirected,
  },
  {
    ...after('a delegation, and after its time no answer: kept', 'silent'),
    ...known(1.01 * HOUR),
    ...redirected,
  },
  {
    ...after('a delegation, and after its time port 443 is closed: kept', 'refused'),
    ...known(1.01 * HOUR),
    ...redirected,
  },
  {
    ...after('a delegation, and after its time an m.server that is not a name: kept', delegates('https://x')),
    ...known(1.01 * HOUR),
    ...redirected,
  },
  {
    ...after('a delegation, and 48 hours later still no answer: not known any more', { status: 503 }),
    ...known(48 * HOUR),
    ...plainly,
  },
  {
    ...after('404, and an hour later a delegation', delegates('b.example:1')),
    ...known(HOUR, {}),
    ...redirected,
  },
  {
    ...after(
      '503, and an hour later a delegation: errors are not remembered for longer',
      delegates('b.example:1'),
    ),
    ...known(HOUR, { web: { 'a.example': { status: 503 } } }),
    ...redirected,
  },
  {
    ...after('port 443 is silent, and later it is still silent: not waited for twice', 'silent', ['39']),
    ...known(HOUR, { web: { 'a.example': 'silent' } }),
    ...plainly,
    says: { '3': 'no answer within' },
  },
  {
    row: 'D8',
    about: 'SRV, and after its time SERVFAIL: kept',
    reports: ['41'],
    name: 'a.example',
    situation: { srv: { '_matrix-fed._tcp.a.example': 'SERVFAIL' } },
    ...knownSrv(HOUR),
    steps: ['3', '4'],
    ...to('4', 'a.example', 'c.example:8000'),
  },
  {
    row: 'D8',
    about: 'SRV, and after its time none: it is gone',
    reports: ['41'],
    name: 'a.example',
    situation: {},
    ...knownSrv(HOUR),
    ...plainly,
  },
]

export const CASES: readonly Case[] = [
  ...LITERALS,
  ...DELEGATED,
  ...UNDELEGATED,
  ...REDIRECTS,
  ...BODIES,
  ...SRV,
  ...CACHED,
]
