import { explain, findFailure } from '/work/h/iso/test/model/check.ts'
import { memoryDatabase } from '/work/h/iso/test/model/database.ts'
import { isolating } from '/work/h/iso/test/model/isolating.ts'
const ran = new Set<string>()
const fresh = () => Promise.resolve(memoryDatabase({}, ran))
const seed = Number(process.argv[2] ?? 1),
  runs = Number(process.argv[3] ?? 300)
const t = Date.now()
const failed = await findFailure(fresh, { runs, seed, drawn: isolating })
console.log(Date.now() - t, 'ms', failed?.runs)
if (failed) console.log((await explain(fresh, failed, seed)).slice(0, 9000))
console.log(
  [
    'take apart what was refused',
    'sort what is apart',
    'hold rooms',
    'it is apart no more',
    'replays are ordinary events now',
    'what is set aside is due',
    'rooms that are held are due',
    'hold a room no more',
    'what a room has missed',
    'a room goes on',
    'purge what is apart',
  ].filter((n) => !ran.has(n)),
)
