import { existsSync, readFileSync } from 'node:fs'
import { expect } from 'chai'
import { parse } from 'yaml'
import { makeProgram } from '../src/cli/program.ts'
import { makeMetrics } from '../src/observe/metrics.ts'

interface Rule {
  alert: string
  expr: string
  annotations: { summary?: string }
}

const read = (path: string) => readFileSync(new URL(`../ops/${path}`, import.meta.url), 'utf8')

describe('what operators are given', () => {
  const alerts = parse(read('prometheus/alerts.yaml')) as { groups: { rules: Rule[] }[] }
  const rules = alerts.groups.flatMap((group) => group.rules)
  const runbook = read('runbook.md')

  it('alerts on metrics that there are', async () => {
    const known = (await makeMetrics().registry.getMetricsAsJSON()).map(({ name }) => name)
    for (const { alert, expr } of rules)
      for (const [name] of expr.matchAll(/limpet_\w+/g))
        expect(known, alert).to.include(name.replace(/_(bucket|sum|count)$/, ''))
  })

  it('has a heading in the runbook for every alert, and no other', () => {
    const headings = [...runbook.matchAll(/^## (\w+)$/gm)].map(([, name]) => name)
    expect(headings).to.deep.equal(rules.map(({ alert }) => alert))
    for (const { alert, annotations } of rules) expect(annotations.summary, alert).to.be.a('string')
  })

  it('is what the pages that lead to it link to: nothing is missing', () => {
    const pages = ['README.md', 'CONTRIBUTING.md', 'docs/architecture.md', 'ops/README.md', 'ops/runbook.md']
    pages.push('docs/security.md', 'docs/packages.md', 'ops/systemd/README.md')
    for (const page of pages) {
      const at = new URL(`../${page}`, import.meta.url)
      for (const [, link = ''] of readFileSync(at, 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g))
        expect(existsSync(new URL(link, at)), `${page}: ${link}`).to.equal(true)
    }
    // Where somebody who found a hole looks first.
    expect(readFileSync(new URL('../README.md', import.meta.url), 'utf8')).to.include('(docs/security.md)')
  })

  it('names commands that there are', () => {
    const silent = { write: () => undefined }
    const program = makeProgram({ stdout: silent, stderr: silent, env: {}, cwd: '/' })
    const names = program.commands.map((command) => command.name())
    const unit = read('systemd/limpet.service')
    const used = [
      ...[...runbook.matchAll(/(?:`|^)limpet ([a-z-]+)(?= |`|$)/gm)].map(([, name]) => name),
      ...[...unit.matchAll(/main\.js ([a-z-]+)/g)].map(([, name]) => name),
    ]
    expect(used).to.have.length.above(6)
    expect(names).to.include.members(used as string[])
  })
})
