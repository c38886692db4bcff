/** What the scripted server says of its key's use: a little more the further back, so that tests can count. */

const DAY_MS = 86_400_000
const DAYS = 90

/** Day n before today has n·10 prompt and n·5 completion tokens of `scripted` in one request; every seventh day the same of `org/wordy`. */
export function usageReport(today: Date): { limits: Record<string, number | null>; [field: string]: unknown } {
  const data = Array.from({ length: DAYS }, (_, back) => ['scripted', ...(back % 7 === 0 ? ['org/wordy'] : [])].map((model) => ({
    day: new Date(today.getTime() - back * DAY_MS).toISOString().slice(0, 10), model, requests: 1, prompt_tokens: back * 10, completion_tokens: back * 5,
  }))).flat()
  const limits = { requests_per_minute: 60, tokens_per_minute: null, parallel: 4, tokens_per_day: 50_000 }
  return { object: 'list', key: 'ada’s laptop', limits, tokens_today: 37_500, data }
}
