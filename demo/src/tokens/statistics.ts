import { countCharacters, type Token } from '../document/tree'
import { surprisalOf } from './probability'

/** What a text's probabilities say about it as a whole. */
export interface Statistics {
  /** Tokens with a probability: the first of a text may have none. */
  tokens: number
  logprob: number
  perplexity: number
  /** Mean surprisals, in bits. */
  bitsPerToken: number
  bitsPerCharacter: number
  bitsPerByte: number
}

/** Null where no token has a probability. Only the text of tokens that have one is counted. */
export function statisticsOf(tokens: readonly Token[]): Statistics | null {
  let bits = 0
  let count = 0
  let text = ''
  for (const { logprob, text: part } of tokens) {
    if (logprob === null) continue
    bits += surprisalOf(logprob)
    count += 1
    text += part
  }
  if (count === 0) return null
  return {
    tokens: count,
    logprob: bits === 0 ? 0 : -bits * Math.LN2,
    perplexity: 2 ** (bits / count),
    bitsPerToken: bits / count,
    bitsPerCharacter: bits / countCharacters(text),
    bitsPerByte: bits / new TextEncoder().encode(text).length,
  }
}
