import { language } from './catalogue'

/** Amounts with their units, in the words of the language in use: "1.2 GB" is "1,2 Go" in French. */

const BYTES = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const
/** From so many seconds on, a time is told in the next unit: two of it at least. */
const MINUTES_FROM_S = 120
const HOURS_FROM_S = 7200

function withUnit(value: number, unit: string, digits: number): string {
  return new Intl.NumberFormat(language.value, { style: 'unit', unit, minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value)
}

/** A number of bytes in the largest unit of which it has one; `per` is what it is counted by, such as `-per-second`. */
function inBytes(bytes: number, per: string): string {
  const power = Math.min(BYTES.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, Math.round(bytes))) / 3)))
  return withUnit(bytes / 1000 ** power, `${BYTES[power] ?? 'byte'}${per}`, power < 2 ? 0 : 1)
}

export function formatBytes(bytes: number): string {
  return inBytes(bytes, '')
}

export function formatRate(bytesPerS: number): string {
  return inBytes(bytesPerS, '-per-second')
}

/** A time to wait, as exact as it is worth telling. */
export function formatSeconds(seconds: number): string {
  if (seconds < MINUTES_FROM_S) return withUnit(Math.round(seconds), 'second', 0)
  return seconds < HOURS_FROM_S ? withUnit(Math.round(seconds / 60), 'minute', 0) : withUnit(seconds / 3600, 'hour', 1)
}
