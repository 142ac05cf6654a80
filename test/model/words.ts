/** A schedule in words, one line a command. */
import { remoteInWords } from './remote.ts'
import { DAY, HOUR, MINUTE, SECOND, type Break, type Command, type GivesEdus } from './schedule.ts'

export function inWords(schedule: readonly Command[]): string {
  return schedule.map((one, index) => `  ${index + 1}. ${wordsOf(one)}`).join('\n')
}

export function wordsOf(one: Command): string {
  switch (one.do) {
    case 'append': {
      const sticky = one.stickyMs === null ? '' : `, sticky for ${span(one.stickyMs)}`
      const many = one.count === 1 ? 'an event' : `${one.count} events`
      const whom = {
        room: '',
        'to us': ', to us',
        'to nobody': ', to nobody',
        'also to us': ', also to us',
        'not to us': ', not to us',
      }
      const odd = one.odd === true ? ', the odd ones alone' : ''
      const what = `${many} of ${one.size} bytes in room ${one.room}${whom[one.audience]}${sticky}${odd}`
      return `ingest ${one.door} takes ${what}${heldWords(one.break)}`
    }
    case 'edu':
      return `ingest ${one.door} takes ${eduWords(one)}${heldWords(one.break)}`
    case 'join':
      return `ingest ${one.door}: we join room ${one.room}${heldWords(one.break)}`
    case 'leave':
      return `ingest ${one.door}: we leave room ${one.room}${heldWords(one.break)}`
    case 'rejoin':
      return `ingest ${one.door}: we leave room ${one.room}, if we are in it, and join it${heldWords(one.break)}`
    case 'kick':
      return `ingest ${one.door}: an event in room ${one.room}, and we are out of it${heldWords(one.break)}`
    case 'set':
      return `ingest ${one.door}: the servers of room ${one.room} are told as a whole, and we are ${one.us}${heldWords(one.break)}`
    case 'follows': {
      const sticky = one.stickyMs === null ? '' : `, sticky for ${span(one.stickyMs)}`
      const what = one.what === 'join' ? 'we join it, if we are not in it' : `an event${sticky}`
      return `ingest ${one.door}, from a source that has told room ${one.room}: ${what}${heldWords(one.break)}`
    }
    case 'purge':
      return `ingest ${one.door}: room ${one.room} is purged${heldWords(one.break)}`
    case 'redact':
      return `ingest ${one.door}: the event ${one.back} before the newest is redacted${heldWords(one.break)}`
    case 'erase': {
      const which = `the event ${one.back} before the newest`
      const what = one.what === 'event' ? which : `what is stored of the sender of ${which}`
      const among = one.among ? ', between two events of that sender' : ''
      return `ingest ${one.door}: ${what} is erased${among}${heldWords(one.break)}`
    }
    case 'clock':
      return `the database’s clock is moved by ${span(one.byMs)}`
    case 'process clock':
      return `the clock of ${one.by} is moved by ${span(one.byMs)}`
    case 'time':
      return `${span(one.ms)} pass`
    case 'until due':
      return 'time passes until the next attempt is due; A and B tick'
    case 'remote':
      return `from now on the remote ${remoteInWords(one.remote)}`
    case 'uplink':
      return `the uplink of ${one.by} is ${one.is}`
    case 'quarantine':
      return `the operator: ${one.act} ${one.nth + 1} of what is set aside (${one.kind}), of ${one.of}`
    case 'operator':
      return `the operator asks: ${one.wish}`
    case 'block':
    case 'unblock':
      return `the operator ${one.do}s ${one.glob}`
    case 'server up':
      return 'server_up'
    case 'turn':
      return `${one.by} takes a turn${heldWords(one.break)}`
    case 'tick':
      return `${one.by} ticks${heldWords(one.break)}`
    case 'retention':
      return `what is older than an hour leaves the log${heldWords(one.break)}`
    case 'sweep':
      return `a sweep${heldWords(one.break)}`
    case 'dies':
      return `${one.by} is killed (-9) and started again`
    case 'lease lost':
      return `the lease of ${one.by} is over, and it ${one.notices ? 'notices' : 'does not notice'}`
    case 'goes on':
      return `${one.by}, if it was stopped, goes on${one.notices ? ' and notices that its lease is over' : ''}`
    case 'queue is emptied':
      return 'the queue loses everything'
    case 'back up':
      return 'the database is copied'
    case 'restore':
      return 'the database is put back to that copy, if there is one; all processes are started again'
    case 'fails over': {
      const lost = one.lost.length === 0 ? 'nothing' : one.lost.map(wordsOf).join('; ')
      const then = one.then.length === 0 ? '' : ` then: ${one.then.map(wordsOf).join('; ')};`
      return `the database fails over to a state without what now comes: ${lost};${then} what it lost is given again`
    }
  }
}

function eduWords({ kind, to, room, user, on, count, ttlMs, size, alone }: GivesEdus): string {
  const many = count === 1 ? 'an EDU' : `${count} EDUs`
  const ofRoom = kind === 'typing' || kind.startsWith('receipt')
  const whom = {
    us: 'to us',
    both: 'to us and another',
    other: 'to another',
    room: `to room ${room}`,
    rooms: 'to all rooms',
  }
  const says =
    kind === 'typing' || kind === 'presence' ? `: ${on}` : kind === 'keyed' && on ? ', durable' : ''
  const lasts = ttlMs === null ? '' : `, for ${span(ttlMs)}`
  return `${many} (${kind} of ${user}${says}) of ${size} bytes ${whom[ofRoom ? 'room' : to]}${lasts}${alone ? ', alone' : ''}`
}

function heldWords(held: Break | null): string {
  if (held === null) return ''
  const { at, happens, then } = held
  const where = typeof at === 'number' ? `its step ${at}` : `“${at}”`
  const meanwhile = happens.length === 0 ? '' : ` meanwhile: ${happens.map(wordsOf).join('; ')};`
  return `; before ${where} it is held,${meanwhile} then it ${then === 'is overtaken' ? 'loses its lease, the other takes a turn, and it goes on' : then}`
}

export function span(ms: number): string {
  const sign = ms < 0 ? '-' : ''
  const long = Math.abs(ms)
  const units: [number, string][] = [
    [DAY, 'd'],
    [HOUR, 'h'],
    [MINUTE, 'min'],
    [SECOND, 's'],
  ]
  const [unit, name] = units.find(([one]) => long >= one && long % one === 0) ?? [1, 'ms']
  return `${sign}${long / unit} ${name}`
}
