const base = '/work/h/model/test/model/'
const { findFailure } = await import(base + 'check.ts')
const { memoryDatabase } = await import(base + 'database.ts')
const { BUGS, WITHIN, BITES_SEED } = await import(base + 'planted.ts')
const re = new RegExp(process.argv[2]!)
for (const { bug, plant, options, seed, drawn, breaks } of BUGS) {
  if (!re.test(bug)) continue
  const failed = await findFailure(() => Promise.resolve(memoryDatabase(plant())), {
    runs: WITHIN,
    seed: seed ?? BITES_SEED,
    options,
    ...(drawn && { drawn }),
    shrink: false,
  })
  console.log(
    failed === null ? 'NOT CAUGHT' : breaks.test(failed.why) ? 'ok ' + failed.runs : 'OTHER',
    '|',
    bug,
    '|',
    failed?.why.slice(0, 160),
  )
}
