/** A daemon, those that are well, and those that are not, for tests of what the one may cost the other. */
import { expect } from 'chai'
import { loopbackAuthority, makeWorld, PATIENT, TOKENS, type World } from '../e2e/world.ts'
import { startCrowd, refusing, type Crowd } from './crowd.ts'
import { inWords, makeHowSoon, type Waits } from './how-soon.ts'
import { until } from './poll.ts'

export interface Sizes {
  healthy: number
  hang: number
  refuse?: number
  flood?: number
  /** `max_concurrency`; half of it is for those that are failing or slow. */
  places: number
  /** Of each window. */
  lastsMs: number
  /** First wait after a failure, ms: small where a test has little time. Left out: what limpet does by itself. */
  firstBackoffMs?: number
  /** A median may be longer by so many ms, whatever it is: the machine does other things too. */
  noiseMs: number
}

const PER_SECOND = 60
/** A median may be so much longer. */
const AS_MUCH_AGAIN = 1.3
/** Of a busy machine, the best of so many windows counts. */
const WINDOWS = 3
const OTHERS = '!others:home.example'

interface Stage extends Pick<Sizes, 'noiseMs'> {
  world: World
  crowd: Crowd
  say: (room: string) => Promise<void>
  measure: () => Promise<Waits>
  /** Into one room, beside a room for each that is healthy. */
  gather: (others: readonly string[]) => Promise<void>
}

/** Those that are not well are owed something, and are tried again and again. */
export async function measureBeside({
  healthy,
  hang,
  refuse = 0,
  flood = 0,
  ...sizes
}: Sizes): Promise<void> {
  await onStage(sizes, [healthy, hang, flood], async (stage) => {
    const { crowd, gather, say, measure } = stage
    const [, hanging = [], flooding = []] = crowd.names
    await gather([...hanging, ...flooding, ...(await refusing(refuse))])
    await crowd.behave(1, 'hang')
    await crowd.behave(2, 'flood')
    const without = await measure()
    await say(OTHERS)
    await compare(stage, without)
    expect((await crowd.counts()).mostUnanswered, 'hang').to.be.greaterThan(hang / 2)
  })
}

/** They have a connection and answered quickly until now. */
export async function measureHanging({ healthy, hang, ...sizes }: Sizes): Promise<void> {
  await onStage(sizes, [healthy, hang], async (stage) => {
    const { world, crowd, gather, say, measure } = stage
    await gather(crowd.names[1] ?? [])
    await say(OTHERS)
    await until(async () => (await world.pool.query(NOT_QUICK)).rowCount === 0, {
      what: 'all to have answered',
      withinMs: 60_000,
      everyMs: 100,
    })
    const without = await measure()
    await crowd.behave(1, 'hang')
    await say(OTHERS)
    await compare(stage, without)
    const ended = await world.pool.query<{ cut: number }>(CUT)
    expect(ended.rows[0]?.cut, 'cut').to.be.greaterThan(0)
    expect(ended.rows[0]?.cut, 'no more than is needed').to.be.lessThan(hang)
    await keepsPromises(world)
  })
}

const NOT_QUICK = 'select from destinations where not quick'
const CUT = `select count(*)::int as cut from attempts where outcome = 'failed' and message like '%others waited for its place'`
/** What was cut is unanswered, with its id and bytes, and goes again after a backoff. */
const NOT_OPEN = `
  select from attempts a join destinations d on d.id = a.destination left join open_transactions o on o.destination = d.id
   where a.message like '%others waited for its place' and (o.txn_id is distinct from a.txn_id or d.failures = 0)`

async function keepsPromises({ pool }: World): Promise<void> {
  expect(
    (await pool.query(NOT_OPEN)).rowCount,
    'those whose transaction is another, or that have not failed',
  ).to.equal(0)
}

async function compare(
  { measure, noiseMs }: Pick<Stage, 'measure' | 'noiseMs'>,
  without: Waits,
): Promise<void> {
  console.log(`      without: ${inWords(without)}`)
  const most = Math.max(without.median * AS_MUCH_AGAIN, without.median + noiseMs)
  let best = Infinity
  for (let i = 0; i < WINDOWS && best > most; i += 1) {
    const beside = await measure()
    console.log(`      beside:  ${inWords(beside)}; ${(beside.median / without.median).toFixed(2)} x`)
    best = Math.min(best, beside.median)
  }
  expect(best, 'the median, ms').to.be.lessThan(most)
}

async function onStage(
  {
    places,
    lastsMs,
    noiseMs,
    firstBackoffMs,
  }: Pick<Sizes, 'places' | 'lastsMs' | 'noiseMs' | 'firstBackoffMs'>,
  groups: readonly number[],
  work: (stage: Stage) => Promise<void>,
): Promise<void> {
  const { ca } = await loopbackAuthority()
  const crowd = await startCrowd(ca, groups)
  const world = await makeWorld({
    settings: {
      ...PATIENT,
      federation: {
        max_concurrency: places,
        recovering_concurrency: places / 2,
        request_timeout_ms: 60_000,
        ...(firstBackoffMs === undefined ? {} : { backoff: { first_ms: firstBackoffMs, max_ms: 60_000 } }),
      },
      internal: { ...PATIENT.internal, linger_ms: 2_000 },
      shutdown_grace_ms: 0,
    },
  })
  try {
    await world.start()
    const headers = { authorization: `Bearer ${TOKENS.ingest}`, 'content-type': 'application/json' }
    const post = async (items: readonly string[]) => {
      const body = `{"items":[${items.join(',')}]}`
      const answer = await fetch(`${world.address}/v1/ingest`, { method: 'POST', headers, body })
      if (answer.status !== 200) throw new Error(`ingest answered ${answer.status}: ${await answer.text()}`)
      await answer.arrayBuffer()
    }
    const { say, measure } = makeHowSoon({ key: world.key, crowd, post, perSecond: PER_SECOND })
    const rooms = (crowd.names[0] ?? []).map((name, i) => [`!healthy${i}:home.example`, name] as const)
    const servers = (room_id: string, set: readonly string[]) =>
      JSON.stringify({ type: 'servers', room_id, set })
    await work({
      ...{ world, crowd, say, noiseMs },
      measure: () =>
        measure(
          rooms.map(([room]) => room),
          lastsMs,
        ),
      gather: async (others) => {
        await post([...rooms.map(([room, name]) => servers(room, [name])), servers(OTHERS, others)])
        for (const [room] of rooms) await say(room)
      },
    })
  } finally {
    await world.stop()
    await crowd.stop()
  }
}
