import type { Amount, UsageRow } from './report'

/** Sums over the rows of a usage report. Days are UTC's, written `2027-01-31`, so that they sort as text. */

export interface Named extends Amount {
  name: string
}

const DAY_MS = 86_400_000

const NOTHING: Amount = { requests: 0, prompt: 0, completion: 0 }

export function tokensOf({ prompt, completion }: Amount): number {
  return prompt + completion
}

export function sum(amounts: readonly Amount[]): Amount {
  return amounts.reduce<Amount>((all, each) => ({
    requests: all.requests + each.requests, prompt: all.prompt + each.prompt, completion: all.completion + each.completion,
  }), NOTHING)
}

function groupBy(rows: readonly UsageRow[], nameOf: (row: UsageRow) => string): Map<string, UsageRow[]> {
  const groups = new Map<string, UsageRow[]>()
  for (const row of rows) groups.set(nameOf(row), [...(groups.get(nameOf(row)) ?? []), row])
  return groups
}

/** The last `count` days up to today, the oldest first, also those without any use. A server whose day has begun earlier is believed. */
export function byDay(rows: readonly UsageRow[], count: number, now: Date): Named[] {
  const groups = groupBy(rows, ({ day }) => day)
  const last = [now.toISOString().slice(0, 10), ...groups.keys()].sort().at(-1) as string
  return Array.from({ length: count }, (_, at) => {
    const name = new Date(Date.parse(last) - (count - 1 - at) * DAY_MS).toISOString().slice(0, 10)
    return { name, ...sum(groups.get(name) ?? []) }
  })
}

/** One sum a model, the most used first. */
export function byModel(rows: readonly UsageRow[]): Named[] {
  const sums = [...groupBy(rows, ({ model }) => model)].map(([name, own]) => ({ name, ...sum(own) }))
  return sums.sort((one, other) => tokensOf(other) - tokensOf(one) || one.name.localeCompare(other.name))
}

/** The end of an axis for values up to `most`: 2, 4 or 10 times a power of ten, so that its half is as round as itself. */
export function axisEnd(most: number): number {
  const least = Math.max(2, most)
  const power = 10 ** Math.floor(Math.log10(least))
  return ([1, 2, 4].find((times) => times * power >= least) ?? 10) * power
}
