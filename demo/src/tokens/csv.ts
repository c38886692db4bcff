import type { Token } from '../document/tree'
import { barsOf } from './bars'
import { probabilityOf, surprisalOf } from './probability'

const COLUMNS = ['index', 'token', 'token_id', 'logprob', 'probability', 'surprisal_bits', 'rank', 'alternatives']

/** What a spreadsheet takes for the beginning of a formula, at any width. */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/

/** A text as a field of RFC 4180. One that a spreadsheet would calculate gets an apostrophe first, which makes it a text there. */
export function csvText(text: string): string {
  const safe = FORMULA.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) || safe.trim() !== safe ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** A token's place among the `asked` likeliest, from 1; null when it is further down. */
function rankOf(token: Token, asked: number): number | null {
  const rank = barsOf(token).findIndex(({ isChosen }) => isChosen) + 1
  return rank > 0 && rank <= asked ? rank : null
}

function row(token: Token, index: number, asked: number): string {
  const { logprob, top, id } = token
  const figures = logprob === null ? ['', '', ''] : [logprob, probabilityOf(logprob), surprisalOf(logprob)]
  const alternatives = top.length === 0 ? '' : JSON.stringify(top.map((each) => [each.text, each.logprob, each.id]))
  return [index, csvText(token.shown ?? token.text), id ?? '', ...figures, rankOf(token, asked) ?? '', csvText(alternatives)].join(',')
}

/**
 * The tokens of a scored text as CSV (RFC 4180), a row a token. `alternatives` is JSON: `[[token, logprob, id], …]`; `asked` is how many
 * were asked for: a token that is listed beyond them has no known rank.
 */
export function csvOf(tokens: readonly Token[], asked: number): string {
  return [COLUMNS.join(','), ...tokens.map((token, index) => row(token, index, asked)), ''].join('\r\n')
}
