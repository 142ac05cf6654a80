/** The files of test/fixtures/matrix with their types. What each one holds stands in its `about`. */
import { readFileSync } from 'node:fs'
import type { JsonObject } from '../../src/matrix/json-value.ts'

function readFixture(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../fixtures/matrix/${name}`, import.meta.url), 'utf8'))
}

interface SpecVectors {
  canonicalJson: [text: string, canonical: string][]
  numbersFromValues: [text: string, canonical: string]
  seed: string
  serverName: string
  keyVersion: string
  signedJson: [object: Record<string, unknown>, signed: Record<string, unknown>][]
  signedEvents: [event: Record<string, unknown>, signed: Record<string, unknown>][]
}

interface ReferenceHashes {
  roomIdInVersion12: string
  /** By event type. */
  events: Record<string, JsonObject>
  /** By room version, then by event type. */
  referenceHashes: Record<string, Record<string, string>>
}

interface RandomEvents {
  events: { roomVersion: string; text: string; canonical: string; eventId: string; contentHash: string }[]
}

export const specVectors = readFixture('spec-vectors.json') as SpecVectors
export const referenceHashVectors = readFixture('reference-hashes.json') as ReferenceHashes
export const randomEvents = (readFixture('random-events.json') as RandomEvents).events
