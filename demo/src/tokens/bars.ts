import type { Alternative, Token } from '../document/tree'
import { probabilityOf } from './probability'
import { isBytes } from './printed'

/** One line of a token's distribution. */
export interface Bar {
  alternative: Alternative
  probability: number
  isChosen: boolean
  /** Part of a character without an id cannot be written. */
  canTake: boolean
}

function isSame(alternative: Alternative, token: Token): boolean {
  if (alternative.id !== null && token.id !== null) return alternative.id === token.id
  return alternative.text === (token.shown ?? token.text)
}

/** The alternatives of a place, the likeliest first, with the token that stands there among them, even when it is not one of the likeliest. */
export function barsOf(token: Token, isWritten = true): Bar[] {
  const listed = token.top.map((alternative) => ({ alternative, isChosen: isWritten && isSame(alternative, token) }))
  const first = listed.findIndex(({ isChosen }) => isChosen)
  if (isWritten && first < 0 && token.logprob !== null) {
    listed.push({ alternative: { text: token.shown ?? token.text, logprob: token.logprob, id: token.id }, isChosen: true })
  }
  return listed
    .map(({ alternative, isChosen }, at) => ({
      alternative,
      probability: probabilityOf(alternative.logprob),
      isChosen: isChosen && (first < 0 || at === first), // two tokens may be written alike
      canTake: alternative.id !== null || !isBytes(alternative),
    }))
    .sort((one, other) => other.alternative.logprob - one.alternative.logprob)
}

/** How much of the whole distribution the bars show. */
export function shareOf(bars: readonly Bar[]): number {
  return Math.min(1, bars.reduce((sum, { probability }) => sum + probability, 0))
}
