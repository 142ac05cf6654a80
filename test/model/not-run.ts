/**
 * Statements that no schedule runs, each with the reason; none of them has a twin in `memory/`. Whoever moves one of them
 * onto the way of an item or a destination takes it out here, gives it a twin, and the schedules run it.
 */
const RETIRES = 'a process of the model never ends well: it is killed, or stopped and overtaken'
const ONE_SWEEPER = 'who sweeps is a decision of the schedule: test/store/upkeep/housekeeping.test.ts'
const COUNTS = 'counted for people, nobody decides by it: test/store/upkeep/count-backlogs.test.ts'
const PARTITIONS =
  'the log in memory has no partitions, a delete takes their place: test/store/upkeep/retention.test.ts'

const OF_MANY =
  'what an operator does to many destinations is done to each as by `wish`, from the same text: test/http/admin/many.test.ts'

const NOT_ASKED = 'nothing asks it yet: test/store/delivery/edus.test.ts'

export const NOT_RUN = {
  'wish of many': OF_MANY,
  'wish of many to skip': OF_MANY,
  'note a drop': OF_MANY,
  'plan acts': OF_MANY,
  'take acts that are due': OF_MANY,
  'bring a cursor back':
    'cursor and head are read in one snapshot, and no commit puts the cursor beyond the head: test/deliver/fanout.test.ts',
  'let go of all of a worker': RETIRES,
  'give back all of a worker': RETIRES,
  'remove a worker': RETIRES,
  'try the lock': ONE_SWEEPER,
  'let the lock end with an idle session': ONE_SWEEPER,
  'let the session idle again': ONE_SWEEPER,
  'give the lock back': ONE_SWEEPER,
  'who of them has a gap': COUNTS,
  'count nothing for the others': COUNTS,
  'count what they are owed': COUNTS,
  'write down what one is owed': COUNTS,
  'note when it was counted': COUNTS,
  'list the partitions': PARTITIONS,
  'lock the end of the log': PARTITIONS,
  'make a partition': PARTITIONS,
  'attach a partition': PARTITIONS,
  'move the end of the log': PARTITIONS,
  'is room for a partition needed': PARTITIONS,
  'wait for readers for a while': PARTITIONS,
  'detach a partition': PARTITIONS,
  'wait for locks as before': PARTITIONS,
  'drop a partition': PARTITIONS,
  'is the partition in use old': PARTITIONS,
  'move the fanout past the hole': PARTITIONS,
  'is a partition old enough': PARTITIONS,
  'is anything kept': PARTITIONS,
  'is it time to forget': PARTITIONS,
  'note that it was forgotten': PARTITIONS,
  'is a durable EDU owed': NOT_ASKED,
  'is an ephemeral EDU owed': NOT_ASKED,
} as const
