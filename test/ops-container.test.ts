/** `ops/Containerfile`, as far as it can be read without building it: `npm run test:packaging` builds and runs it. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { parse } from 'yaml'
import { copyOf, readContainerfile, textOf, wordsOf } from './packaging/containerfile.ts'
import { commandsOf } from './docs/blocks.ts'
import { HERE } from './support/built.ts'

const stages = readContainerfile('ops/Containerfile')
const last = stages.at(-1) ?? expect.fail('no stage')
const page = commandsOf('ops/README.md').join('')

describe('the Containerfile', () => {
  it('is built on one major version of Node.js that limpet is for, and ends without what builds it', () => {
    const { engines } = JSON.parse(readFileSync(join(HERE, 'package.json'), 'utf8')) as {
      engines: { node: string }
    }
    const least = Number(/\d+/.exec(engines.node)?.[0])
    const images = new Set(stages.map(({ image }) => image))
    expect(images.size).to.equal(1)
    expect(Number(/node:(\d+)-/.exec([...images].join())?.[1])).to.be.at.least(least)
    expect(last.steps.filter(({ text }) => /npm|tsc|apt-get/.test(text))).to.deep.equal([])
  })

  it('copies what there is', () => {
    for (const { text } of stages.flatMap(({ steps }) => steps.filter((one) => one.instruction === 'COPY'))) {
      const { from, sources } = copyOf(text)
      if (from === null)
        for (const source of sources) expect(existsSync(join(HERE, source)), source).to.equal(true)
      else expect(stages.map(({ name }) => name)).to.include(from)
    }
  })

  it('runs as an ordinary user, without a shell, with its data in a volume', () => {
    expect(textOf(last, 'USER')).to.equal('node')
    expect(wordsOf(textOf(last, 'ENTRYPOINT') ?? '')[0]).to.equal('node')
    expect(wordsOf(textOf(last, 'CMD') ?? '')).to.deep.equal(['run'])
    expect(textOf(last, 'STOPSIGNAL')).to.equal('SIGTERM')
    expect(textOf(last, 'HEALTHCHECK')).to.match(/127\.0\.0\.1:8469\/health\/live/)
  })

  it('is run with folders and a port that it has', () => {
    const yaml = /limpet\.yaml <<'END'\n([^]*?)^END$/m.exec(page)?.[1] ?? ''
    const config = parse(yaml) as { data_dir: string; signing_key_path: string; listen: { port: number } }
    expect(textOf(last, 'VOLUME')).to.equal(config.data_dir)
    expect(textOf(last, 'ENV')).to.equal('LIMPET_CONFIG=/etc/limpet/limpet.yaml')
    expect(textOf(last, 'EXPOSE')).to.equal(String(config.listen.port))
    const mounts = [...page.matchAll(/-v (\S+?):(\S+?)(?::ro)?(?=\s)/g)].map(
      ([, from, to]) => `${from ?? ''} ${to ?? ''}`,
    )
    expect(new Set(mounts)).to.deep.equal(new Set(['./config /etc/limpet', `limpet-data ${config.data_dir}`]))
    expect(page).to.include(`-p 127.0.0.1:${config.listen.port}:${config.listen.port} `)
  })
})
