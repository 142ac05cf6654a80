/** What package-lock.json says of a package: its licence, and what comes along with it. */
import { readFileSync } from 'node:fs'

interface Entry {
  readonly version: string
  readonly license?: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly dev?: boolean
  readonly optional?: boolean
  readonly os?: readonly string[]
  readonly cpu?: readonly string[]
}

export interface Along {
  /** Names, sorted, each once; not the package's own. */
  readonly names: readonly string[]
  /** Of the package and of what comes along, sorted. */
  readonly licences: readonly string[]
}

/** Reads a lock file and returns what answers for a package at its top. */
export function readLockFile(file: URL): (name: string) => Along {
  const { packages } = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, Entry> }

  /** As Node.js looks for it: beside the asker, then beside whatever holds the asker. */
  function placeOf(name: string, asker: string): string | null {
    for (let at = asker; ; at = at.slice(0, at.lastIndexOf('node_modules/')).replace(/\/$/, '')) {
      const place = `${at === '' ? '' : `${at}/`}node_modules/${name}`
      if (packages[place] !== undefined) return place
      if (at === '') return null
    }
  }

  return (name) => {
    const found = new Set([`node_modules/${name}`])
    for (const place of found) {
      const { dependencies, optionalDependencies } = packages[place] ?? {}
      for (const wanted of Object.keys({ ...dependencies, ...optionalDependencies })) {
        const next = placeOf(wanted, place)
        if (next !== null) found.add(next)
      }
    }
    const names = [...found].map((place) => place.slice(place.lastIndexOf('node_modules/') + 13))
    const licences = [...found].map((place) => packages[place]?.license ?? 'none said')
    return {
      names: sorted(names).filter((other) => other !== name),
      licences: sorted(licences),
    }
  }
}

/** How many packages `npm ci --omit=dev` installs on Linux (x64), and how many of them are not optional. */
export function countInstalled(file: URL): { all: number; needed: number } {
  const { packages } = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, Entry> }
  const fits = ({ os = ['linux'], cpu = ['x64'] }: Entry) => os.includes('linux') && cpu.includes('x64')
  const installed = Object.entries(packages).filter(([place, one]) => place !== '' && !one.dev && fits(one))
  return { all: installed.length, needed: installed.filter(([, one]) => !one.optional).length }
}

const sorted = (texts: readonly string[]) => [...new Set(texts)].sort()
