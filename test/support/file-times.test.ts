import { expect } from 'chai'
import { sumOfTree, type Times } from './cpu.ts'
import { slowest } from './file-times.ts'

describe('the times of test files', () => {
  it('are shown slowest first, with their processor time and the sum of all', () => {
    const times = [
      { file: 'test/quick.test.ts', ms: 1_000, cpuMs: 900 },
      { file: 'test/waits.test.ts', ms: 30_000, cpuMs: 1_500 },
      { file: 'test/works.test.ts', ms: 20_000, cpuMs: 19_000 },
    ]
    expect(slowest(times, 2)).to.deep.equal([
      'slowest: seconds, seconds of processor time',
      '   30.0     1.5  test/waits.test.ts',
      '   20.0    19.0  test/works.test.ts',
      '   51.0    21.4  all 3 files',
    ])
  })

  it('say nothing of one file, and a dash where processor time is unknown', () => {
    const time = { file: 'test/a.test.ts', ms: 1_000, cpuMs: null }
    expect(slowest([time])).to.deep.equal([])
    expect(slowest([time, time])).to.include('    1.0       -  test/a.test.ts')
    expect(slowest([time, time]).at(-1)).to.equal('    2.0       -  all 2 files')
  })

  it('count what a process started, what that started, and those of them that have ended', () => {
    const process = (pid: number, parent: number, ms: number, childrenMs = 0): Times => ({
      pid,
      parent,
      ms,
      childrenMs,
    })
    const all = [process(1, 0, 1), process(5, 1, 10, 20), process(6, 5, 100), process(7, 6, 1_000, 2_000)]
    expect(sumOfTree([...all, process(8, 1, 50_000)], 5)).to.equal(3_130)
  })
})
