/** What the part `road` says in the table. */
import { median, middleOf } from './compare-verdict.ts'
import { few, type Line } from './line.ts'
import { ROAD_KINDS, type RoadKind } from './road-names.ts'
import type { Asked, Past, Road, RoadRound } from './road.ts'

const PASTS: Record<Past, string> = { known: 'all known', new: 'all new' }
const KINDS: Record<RoadKind, string> = {
  healthy: 'healthy',
  silent: 'silent DNS',
  swallowed: '.well-known black-holed',
  family: 'AAAA black-holed',
}
const AIM = 1.3

const ratioOf = ({ alone, beside }: RoadRound) => beside.last / alone.last
const ms = (figure: number) => `${Math.round(figure)} ms`
const told = ({ most, mean }: Asked) => `${few(mean)} (most ${most})`

export function roadLines(queue: string, road: Road): Line[] {
  return [steadyLine(), ...linesOf('known'), ...linesOf('new')]

  function steadyLine(): Line {
    const { without, beside, seconds } = road.steady
    const ratio = beside.median / without.median
    return {
      what: `${road.healthy} with steady traffic beside ${road.others} in trouble, ${queue}`,
      figure: `${ratio.toFixed(2)} x`,
      aim: { text: `<= ${AIM} x`, met: () => ratio <= AIM },
      note: `200 to received, median: ${few(beside.median)} ms, without ${few(without.median)}; p99 ${few(beside.p99)} and ${few(without.p99)}; the others had it or had failed after ${few(seconds)} s`,
    }
  }

  function linesOf(past: Past): Line[] {
    const rounds = road.rounds[past]
    const middle = middleOf(rounds, ratioOf)
    if (middle === undefined) return []
    const ratio = median(rounds.map(ratioOf))
    const medians = median(rounds.map(({ alone, beside }) => beside.median / alone.median))
    const { alone, beside } = middle
    return [
      {
        what: `${road.healthy} found beside ${road.others} in trouble, ${PASTS[past]}, ${queue}`,
        figure: `${ratio.toFixed(2)} x`,
        aim: { text: `<= ${AIM} x`, met: () => ratio <= AIM },
        note: `200 to the last: ${ms(beside.last)}, alone ${ms(alone.last)}; median ${ms(beside.median)} and ${ms(alone.median)} (${medians.toFixed(2)} x); rounds: ${rounds.map((round) => `${ratioOf(round).toFixed(2)} x`).join(', ')}`,
      },
      {
        what: '  questions a name',
        figure: few(Math.max(...ROAD_KINDS.map((kind) => road.questions[past][kind].most))),
        note: ROAD_KINDS.map((kind) => `${KINDS[kind]} ${told(road.questions[past][kind])}`).join(', '),
      },
      {
        what: '  dials of a black-holed .well-known',
        figure: few(road.dials[past].most),
        note: `a name ${told(road.dials[past])}`,
      },
    ]
  }
}
