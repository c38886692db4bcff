import { getJson } from '../api/client'
import { Failure } from '../api/failure'
import { isObject } from '../api/wire'
import { usageWords as t } from '../i18n/usage'

/** What `GET /v1/usage` tells of the key that asks, read defensively. */

export const LIMITS = ['requests_per_minute', 'tokens_per_minute', 'parallel', 'tokens_per_day'] as const
export type LimitName = (typeof LIMITS)[number]

export interface Amount {
  requests: number
  prompt: number
  completion: number
}

/** What was used of one model on one day, `2027-01-31`. */
export interface UsageRow extends Amount {
  day: string
  model: string
}

export interface UsageReport {
  /** The key's name. */
  key: string
  /** Null for no limit. */
  limits: Readonly<Record<LimitName, number | null>>
  tokensToday: number
  rows: readonly UsageRow[]
}

/** As far back as the page shows. */
export const MOST_DAYS = 90

function numberOr<Else>(value: unknown, otherwise: Else): number | Else {
  return typeof value === 'number' ? value : otherwise
}

function readRow(value: unknown): UsageRow[] {
  if (!isObject(value) || typeof value.day !== 'string' || typeof value.model !== 'string') return []
  const { day, model } = value
  return [{ day, model, requests: numberOr(value.requests, 0), prompt: numberOr(value.prompt_tokens, 0), completion: numberOr(value.completion_tokens, 0) }]
}

/** Null for what is no such report. */
export function readReport(value: unknown): UsageReport | null {
  if (!isObject(value) || !Array.isArray(value.data)) return null
  const limits = isObject(value.limits) ? value.limits : {}
  return {
    key: typeof value.key === 'string' ? value.key : '',
    limits: Object.fromEntries(LIMITS.map((name) => [name, numberOr(limits[name], null)])) as UsageReport['limits'],
    tokensToday: numberOr(value.tokens_today, 0),
    rows: value.data.flatMap(readRow),
  }
}

/** Throws a Failure, or AbortError once `signal` aborts. */
export async function fetchReport(key: string, signal: AbortSignal): Promise<UsageReport> {
  const report = readReport(await getJson(`/v1/usage?days=${MOST_DAYS}`, key, signal))
  if (!report) throw new Failure('malformed', t.notUnderstood, { status: 200 })
  return report
}
