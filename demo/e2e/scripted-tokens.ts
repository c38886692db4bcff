/**
 * The scripted model's tokens: a word with the space before it is a token, every text has one id, and what is likely follows a
 * pattern that tests can count on. Two ids share the text " twin", as happens in real vocabularies.
 */

/** One token as the server knows it. */
export interface ScriptedToken {
  /** As the wire spells it: `bytes:\xf0` where it is only part of a character. */
  text: string
  id: number
  /** What it adds to the text, where that is not `text`. */
  adds?: string
}

/** The ids of the two tokens " twin"; dicts keyed by text can only hold the second. */
export const TWINS = [7001, 7002] as const

const FIRST_ID = 100
const ids = new Map<string, number>([['<s>', 1]])
const texts = new Map<number, string>([[1, ''], [TWINS[0], ' twin'], [TWINS[1], ' twin']])

export function idOf(text: string): number {
  let id = ids.get(text)
  if (id === undefined) {
    id = FIRST_ID + ids.size
    ids.set(text, id)
    texts.set(id, text)
  }
  return id
}

export function tokenOf(text: string): ScriptedToken {
  return { text, id: idOf(text) }
}

export function tokenize(text: string): ScriptedToken[] {
  return (text.match(/ ?[^\s]+|\s/gu) ?? []).map(tokenOf)
}

/** The text of a prompt in either form in which the API takes it. */
export function promptText(prompt: unknown): string {
  if (!Array.isArray(prompt)) return String(prompt)
  return prompt.map((id) => {
    const text = texts.get(id as number)
    if (text === undefined) throw new Error(`The scripted model has no token ${String(id)}`)
    return text
  }).join('')
}

export function promptIds(prompt: unknown): number[] {
  return Array.isArray(prompt) ? (prompt as number[]) : [1, ...tokenize(String(prompt)).map(({ id }) => id)]
}

/** Probabilities in a place: the token taken is the likeliest (62.0 %), except in every fourth place, where it comes fourth (4.0 %). */
export const LIKELY = 0.62
export const UNLIKELY = 0.04
const OTHERS: readonly (readonly [string, number])[] = [[' alpha', 0.2], [' beta', 0.08], [' gamma', 0.03], [' delta', 0.01], [' epsilon', 0.005], [' zeta', 0.003], [' eta', 0.002], [' theta', 0.001], [' iota', 0.0005]]

export interface Place {
  logprob: number
  top: Record<string, number>
  topIds: Record<string, number>
}

/** What the model thought in the place of a token, as many alternatives as were asked for, the token itself always among them. */
export function placeOf(token: ScriptedToken, at: number, count: number): Place {
  const isUnlikely = at % 4 === 3
  const others: (readonly [string, number])[] = isUnlikely ? [[' better', 0.7], ...OTHERS] : [...OTHERS]
  const p = isUnlikely ? UNLIKELY : LIKELY
  const all = [[token.text, p] as const, ...others].sort((a, b) => b[1] - a[1])
  const shown = all.filter(([text], rank) => rank < count || text === token.text)
  const isTwin = token.id === TWINS[0] || token.id === TWINS[1]
  return {
    logprob: Math.log(p),
    top: Object.fromEntries(shown.map(([text, share]) => [text, Math.log(share)])),
    topIds: Object.fromEntries(shown.map(([text]) => [text, text === token.text ? (isTwin ? TWINS[1] : token.id) : idOf(text)])),
  }
}

/** The choice's `logprobs` for tokens that stand from place `at` on; `offset` counts code points. The first prompt token has none. */
export function logprobsOf(tokens: readonly ScriptedToken[], at: number, offset: number, count: number, hasIds: boolean, isPrompt = false): object {
  const places = tokens.map((token, index) => (isPrompt && index === 0 ? null : placeOf(token, at + index, count)))
  let end = offset
  const offsets = tokens.map((token) => {
    const start = end
    end += [...(token.adds ?? token.text)].length
    return start
  })
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: places.map((place) => place?.logprob ?? null),
    top_logprobs: places.map((place) => place?.top ?? null),
    text_offset: offsets,
    ...(hasIds ? { top_token_ids: places.map((place) => place?.topIds ?? null) } : {}),
  }
}
