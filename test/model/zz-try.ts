const base = '/work/h/model/test/model/'
const { findFailure, explain } = await import(base + 'check.ts')
const { memoryDatabase } = await import(base + 'database.ts')
const [mod, name, seed, runs] = process.argv.slice(2)
const drawn = (await import(base + mod + '.ts'))[name!]
const ran = new Set<string>()
const fresh = () => Promise.resolve(memoryDatabase({}, ran))
const began = performance.now()
for (let s = Number(seed); s < Number(seed) + 1; s++) {
  const failed = await findFailure(fresh, {
    runs: Number(runs),
    seed: s,
    drawn,
    shrink: process.env['SHRINK'] !== '0',
  })
  if (failed) {
    console.log(process.env['SHORT'] ? failed.why + ' at ' + failed.runs : await explain(fresh, failed, s))
    break
  }
  console.log('seed', s, 'ok', Math.round(performance.now() - began), 'ms')
}
const all = (await import('/work/h/model/src/store/statement-names.ts')).DELIVERY.filter(
  (one: string) => one.includes('EDU') && !ran.has(one),
)
console.log('not run:', all.join(' | '))
