import { expect } from 'chai'
import fc from 'fast-check'
import { makeLog } from '../../src/observe/log.ts'
import { makeSecrets, maskUrls } from '../../src/observe/secrets.ts'

describe('a password in the place of a Redis user', () => {
  it('is hidden', () => {
    expect(maskUrls('redis://S3cretW0rd@host:6379/1 refused')).to.equal('redis://:***@host:6379/1 refused')
  })
})

describe('secrets', () => {
  it('are in no URL that is shown, wherever they stand in it and however they are spelled', () => {
    for (const url of [
      'postgres://u:hidden@h/db',
      'postgresql://u:hidden@h:5432/db?sslmode=verify-full',
      'postgres://u:hidden@/db?host=/sock',
      'postgres:///db?host=/sock&password=hidden',
      'postgres:///db?password=hidden&user=u&host=/sock',
      'postgres://u@h/db?sslpassword=hidden',
      'postgres://u@h/db?PASSWORD=hidden',
      'postgres://u:hid@hidden@h/db',
      'postgres://u:hid/hidden@h/db',
      'postgres://u:12/hidden@h/db',
      'postgres://u:hid?hidden@h/db',
      'postgres://u:hid#hidden@h/db?sslmode=disable',
      'postgres://u:%40hidden%2F@h/db',
      'redis://:hidden@h:1/3',
      'rediss://h:1/3?password=hidden',
      'redis://h?username=u&password=hidden&db=3',
      'redis://u:p@a:1,redis://u:hidden@b:2',
      'https://u:hidden@h/path',
    ]) {
      const said = `can not reach ${url} (ECONNREFUSED): "${url}", '${url}'`
      expect(maskUrls(said), url)
        .to.include('ECONNREFUSED')
        .and.to.include('***')
        .and.not.to.include('hidden')
    }
  })

  it('leave what only looks like one', () => {
    for (const text of [
      'https://b.example:8448/_matrix @u:b.example',
      'https://b.example:8448/_matrix/federation/v1/user/@u:b.example?x=1',
      'postgres://h:5432/db?user=u@h&sslmode=disable',
      'postgres://u@127.0.0.1:5432/db',
      'redis://127.0.0.1:6379/3',
      'http://[::1]:8469/v1/status',
      '://',
      'a://',
      '@://:@',
    ])
      expect(maskUrls(text)).to.equal(text)
    expect(maskUrls('redis://u:p@a:1,redis://:q@b:2')).to.equal('redis://u:***@a:1,redis://:***@b:2')
  })

  it('are hidden once they are known, as they are, encoded, decoded and inside JSON', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 8, maxLength: 20, unit: 'binary' }), (secret) => {
        fc.pre(secret.trim() === secret && !'limpet postgres redis embedded ***'.includes(secret))
        const secrets = makeSecrets()
        secrets.add(secret)
        const spelled = [secret, JSON.stringify(secret), JSON.stringify(JSON.stringify(secret))]
        if (!/\p{Surrogate}/u.test(secret))
          spelled.push(encodeURIComponent(secret), String(new URLSearchParams({ a: secret })))
        for (const text of spelled) {
          const said = secrets.hide(`<${text}>`)
          expect(said).to.include('***')
          expect(said.includes(secret) && !'<***>'.includes(secret)).to.equal(false)
        }
      }),
      { numRuns: 50 },
    )
  })

  it('of a URL are hidden without it too, and the rest of the URL is not', () => {
    const secrets = makeSecrets()
    secrets.addUrl('postgres://matrix:sw%40rdfish@db.example/limpetdb?sslpassword=k3yword')
    secrets.addUrl('redis://h/3?password=se+cr et')
    expect(secrets.hide('matrix sw@rdfish sw%40rdfish k3yword db.example limpetdb se cr et')).to.equal(
      'matrix *** *** *** db.example limpetdb se cr et'.replace('se cr et', secrets.hide('se cr et')),
    )
    const same = makeSecrets()
    same.addUrl('postgres://matrix:matrix@matrix.example/matrix')
    expect(same.hide('limpet matrix')).to.equal('limpet matrix')
  })

  it('that are short are hidden only as whole words', () => {
    const secrets = makeSecrets()
    secrets.add('pass')
    secrets.add('abc')
    expect(secrets.hide('pass, passed, compass, abc')).to.equal('***, passed, compass, abc')
  })

  it('are in no line of the log: message, error, cause, stack, a field, a child', () => {
    let text = ''
    const secrets = makeSecrets()
    secrets.addUrl('postgres://u:sw"rd\\f%20ish@h/d')
    secrets.add('tok-en-123')
    const log = makeLog({
      level: 'debug',
      pretty: false,
      stream: { write: (line: string) => (text += line) },
      secrets,
    })
    const cause = new Error('cause sw"rd\\f ish and tok-en-123')
    log.error({ err: new Error('sw"rd\\f%20ish', { cause }) }, 'tok-en-123')
    log.warn({ some: { deep: { field: ['sw"rd\\f ish'] } }, url: 'postgres://x?password=unknown' })
    log.child({ bound: 'tok-en-123' }).info('x')
    expect(text.split('\n')).to.have.length(4)
    for (const line of text.trim().split('\n')) JSON.parse(line)
    expect(text).not.to.match(/sw\\*"rd|f(?: |%20)ish|tok-en|unknown/)
  })

  it('cost no more than the text is long', () => {
    const secrets = makeSecrets()
    secrets.addUrl('postgres://u:sw%40rdfish@h/d')
    const long = 200_000
    const parts = [
      'a',
      'a:',
      '://',
      'a://b:',
      'a@',
      'p://a?b=',
      'sw@rd',
      'a-',
      '?password=',
      '@/',
      '"',
      ' ',
      '%',
      '0',
    ]
    for (const part of parts)
      for (const text of [
        `x://${part.repeat(long / part.length)}`,
        `${part.repeat(long / part.length)}://x`,
      ]) {
        const before = process.cpuUsage()
        secrets.hide(text)
        // A quarter of this on one of two busy cores; the first pattern for URLs took 80 s for 200,000 letters.
        expect(process.cpuUsage(before).user / 1000, part).to.be.below(1000)
      }
  }).timeout(30_000)
})
