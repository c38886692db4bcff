import { formatDecimal, language } from '../i18n/catalogue'

/** Probabilities, as they are shown: the steps of the colour and the words of the figures. */

/** The lower ends of the steps, from the likeliest on; each has a class `p0`, `p1`, … in tokens.css. */
export const STEPS = [0.9, 0.5, 0.25, 0.1, 0.01, 0] as const

/** The API's spelling of an impossible token (JSON has no infinity). */
const IMPOSSIBLE = -9999

export function probabilityOf(logprob: number): number {
  return logprob <= IMPOSSIBLE ? 0 : Math.min(1, Math.exp(logprob))
}

/** How much a token surprises, in bits. */
export function surprisalOf(logprob: number): number {
  return logprob <= IMPOSSIBLE ? Infinity : Math.max(0, -logprob / Math.LN2)
}

/** The class of a token's colour; none where the probability is not known. */
export function stepClass(logprob: number | null): string {
  if (logprob === null) return 'unknown'
  const probability = probabilityOf(logprob)
  return `p${STEPS.findIndex((end) => probability >= end)}`
}

/** "63.2 %", with one digit always, and never "0.0 %" for what is possible. */
export function formatPercent(probability: number): string {
  const space = language.value === 'fr' ? '\u202f' : ' '
  const digits = probability > 0 && probability < 0.0005 ? `<${formatDecimal(0.1, 1)}` : formatDecimal(probability * 100, 1)
  return `${digits}${space}%`
}

/** "−0.46"; two digits tell alternatives apart as well as three. */
export function formatLogprob(logprob: number): string {
  if (logprob <= IMPOSSIBLE) return '−∞'
  return formatDecimal(logprob, 2).replace(/^-(0[.,]00)$/, '$1').replace('-', '−')
}

/** A figure of any size in four significant digits, in one piece. */
export function formatFigure(value: number): string {
  if (!Number.isFinite(value)) return value < 0 ? '−∞' : '∞'
  return new Intl.NumberFormat(language.value, { maximumSignificantDigits: 4, useGrouping: false, ...(Math.abs(value) >= 1e9 ? { notation: 'scientific' } : {}) }).format(value).replace('-', '−')
}
