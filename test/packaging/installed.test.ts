/** `npm pack`'s archive, installed into an empty folder with nothing but Node.js: everything runs there. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect } from 'chai'
import { readGeneratedTokens } from '../../src/config/secrets.ts'
import type { Process } from '../cli/cli-stage.ts'
import { HERE } from '../support/built.ts'
import { quietPort } from '../support/port.ts'
import { until } from '../support/poll.ts'
import { installPacked, lineOf, said, type Installed } from './installed.ts'

/** The fewest of each that there may be. */
const SMALLEST = ['--servers', '6', '--rooms', '8', '--events', '200']

describe('the archive of npm pack', function () {
  // A build and an installation.
  this.timeout(300_000)
  let here: Installed
  let simulated: Process
  let daemon: Process | undefined
  let receiver: Process | undefined
  let url: string
  before(async () => {
    here = await installPacked()
    // It takes longest, and the rest goes on beside it.
    const folder = join(here.dir, 'simulated')
    mkdirSync(folder)
    simulated = here.limpet(['simulate', ...SMALLEST], folder)
  })
  after(async () => {
    for (const one of [daemon, receiver]) one?.child.kill('SIGKILL')
    await Promise.all([daemon?.ended, receiver?.ended])
  })

  const packageDir = () => join(here.dir, 'node_modules/limpet')
  const packed = () =>
    readdirSync(packageDir(), { recursive: true, encoding: 'utf8' }).filter((name) =>
      statSync(join(packageDir(), name)).isFile(),
    )

  it('holds what runs, what is read, and nothing else', () => {
    const files = packed()
    expect([...new Set(files.map((name) => name.split('/')[0]))].sort()).to.deep.equal(
      [
        ...['CHANGELOG.md', 'LICENSE', 'README.md', 'config.sample.yaml', 'dist', 'docs'],
        ...(existsSync(join(HERE, 'examples')) ? ['examples'] : []),
        ...['npm-shrinkwrap.json', 'ops', 'package.json'],
      ].sort(),
    )
    const list = (folder: string) => readdirSync(join(HERE, folder), { recursive: true, encoding: 'utf8' })
    const built = ['src', 'queues'].flatMap((folder) =>
      list(folder)
        .filter((name) => name.endsWith('.ts'))
        .map((name) => `dist/${folder}/${name.replace(/\.ts$/, '.js')}`),
    )
    const copied = [...list('migrations').map((name) => `dist/migrations/${name}`), 'dist/docs/openapi.json']
    const others = files.filter((name) => name.startsWith('dist/') && !name.endsWith('.d.ts'))
    expect(others.sort()).to.deep.equal([...built, ...copied].sort())
    expect(files.filter((name) => /\.map$|(^|\/)test\/|\.test\./.test(name))).to.deep.equal([])
  })

  it('holds the pages that its pages lead to', () => {
    const files = new Set(packed())
    // What is for those who change limpet stays in the checkout.
    const elsewhere = /^(src|queues|test|migrations|\.ci)\/|^CONTRIBUTING\.md$/
    for (const page of [...files].filter((name) => name.endsWith('.md')))
      for (const [, link = ''] of readFileSync(join(packageDir(), page), 'utf8').matchAll(
        /\]\((?!https?:|#|\/)([^)#\s]+)/g,
      )) {
        const path = normalize(join(dirname(page), link)).replace(/\/$/, '')
        if (elsewhere.test(path)) continue
        expect(existsSync(join(packageDir(), path)), `${page} leads to ${link}`).to.equal(true)
      }
  })

  it('leaves a program that runs where it was made', () => {
    expect(statSync(join(here.checkout, 'dist/src/main.js')).mode & 0o111).to.equal(0o111)
  })

  it('names exactly what the tests ran with', () => {
    const read = (path: string) => readFileSync(path, 'utf8')
    expect(read(join(packageDir(), 'npm-shrinkwrap.json'))).to.equal(read(join(HERE, 'package-lock.json')))
  })

  it('brings a program that knows its version', async () => {
    const { version } = JSON.parse(readFileSync(join(HERE, 'package.json'), 'utf8')) as { version: string }
    expect(await said(here.limpet(['version']))).to.equal(`${version}\n`)
  })

  it('runs: init, check-config, run, and what it serves', async () => {
    await said(here.limpet(['init', '--server-name', 'example.org']))
    const port = await quietPort()
    const file = join(here.dir, 'limpet.yaml')
    receiver = here.limpet(['receive', '--port', '0'])
    await lineOf(receiver, /^What comes is shown here/)
    const reach = 'custom_ca_paths: [limpet-data/receive/ca.pem]\n  ip_allowlist: [127.0.0.1]'
    const sample = readFileSync(file, 'utf8').replace(/^federation:$/m, `$&\n  ${reach}`)
    writeFileSync(file, `${sample}\nlisten: {host: 127.0.0.1, port: ${port}}\n`)
    expect(await said(here.limpet(['check-config']))).to.match(/^database: ok/m)
    daemon = here.limpet(['run'])
    await lineOf(daemon, /limpet runs/)
    url = `http://127.0.0.1:${port}`
    await until(async () => (await fetch(`${url}/health/ready`)).ok, { what: 'limpet to be ready' })
    expect(((await (await fetch(`${url}/openapi.json`)).json()) as { openapi: string }).openapi).to.match(
      /^3\.1/,
    )
    const page = await fetch(`${url}/docs`)
    expect(page.headers.get('content-type')).to.match(/^text\/html/)
    expect(await page.text()).to.include('/v1/ingest')
    expect(await said(here.limpet(['status']))).to.match(/destinations/i)
  })

  it('delivers: what receive has written for it comes to receive', async () => {
    const answer = await fetch(`${url}/v1/ingest`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ingestToken()}`, 'content-type': 'application/json' },
      body: readFileSync(join(here.dir, 'limpet-data/receive/first-event.json')),
    })
    expect(answer.status).to.equal(200)
    expect(receiver).not.to.equal(undefined)
    if (receiver !== undefined) await lineOf(receiver, /m\.room\.message/)
  })

  const ingestToken = () => readGeneratedTokens(join(here.dir, 'limpet-data')).ingest ?? ''
  const feeding = (item: string, token: string) => `
    import { makeProducer } from 'limpet/client'
    const producer = makeProducer({ url: '${url}', token: '${token}', source: 'hs' })
    console.log(await producer.ingest([${item}], { tokens: { from: null, to: '1' } }))`
  const ITEM = `{ type: 'servers', room_id: '!r:example.org', set: ['b.example'] }`

  it('brings the client', async () => {
    writeFileSync(join(here.dir, 'feed.mjs'), feeding(ITEM, ingestToken()))
    expect(await said(here.start(process.execPath, ['feed.mjs']))).to.include("kind: 'taken'")
  })

  it('brings its types', async () => {
    writeFileSync(join(here.dir, 'right.mts'), feeding(ITEM, ''))
    writeFileSync(join(here.dir, 'wrong.mts'), feeding(ITEM.replace('servers', 'server'), ''))
    const compilerOptions = {
      ...{ module: 'nodenext', target: 'es2023', strict: true, noEmit: true, skipLibCheck: true },
      ...{ types: ['node'], typeRoots: [join(HERE, 'node_modules/@types')] },
    }
    writeFileSync(
      join(here.dir, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, files: ['right.mts', 'wrong.mts'] }),
    )
    const tsc = here.start(process.execPath, [join(HERE, 'node_modules/typescript/bin/tsc'), '-p', '.'])
    await tsc.ended
    const errors = tsc.out.split('\n').filter((line) => /^\S.*error TS/.test(line))
    expect(errors, tsc.out).to.have.length(1)
    expect(errors[0]).to.match(/^wrong\.mts.*"server"/)
  })

  it('dumps its database while it runs, and ends with 0 at SIGTERM', async () => {
    expect(await said(here.limpet(['db', 'dump', 'limpet.dump']))).to.match(/^dumped .* of example\.org /)
    daemon?.child.kill('SIGTERM')
    expect(await daemon?.ended).to.equal(0)
  })

  it('shows the demo', async () => {
    // Everything that it needs is there. How well it goes while the rest runs beside it is not asked here (`test/cli/simulate`).
    await simulated.ended
    expect(simulated.out, simulated.out + simulated.err).to.match(/^missing 0, not entitled 0/m)
    expect(simulated.out).to.match(/^(good|BAD): 200 events in 8 rooms to 6 servers/m)
  })
})
