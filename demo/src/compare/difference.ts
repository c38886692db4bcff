import type { Alternative, Token } from '../document/tree'

/** A piece of an answer beside the first column's answer. */
export interface Piece {
  /** Which token it is, counted from 0; null for text without tokens. */
  place: number | null
  text: string
  logprob: number | null
  differs: boolean
}

interface Text {
  text: string
  tokens: readonly Token[]
}

const nameOf = (token: Token): string => token.shown ?? token.text

/**
 * An answer in pieces: its tokens, of which those differ that are not the first column's in the same place. What the first column
 * has not got to yet does not differ; once `isFirstOver`, what is longer does. Without tokens on both sides, the texts are compared.
 */
export function compareAnswers(first: Text, own: Text, isFirstOver: boolean): Piece[] {
  if (own.tokens.length === 0 || (first.tokens.length === 0 && first.text !== '')) return compareTexts(first.text, own, isFirstOver)
  return own.tokens.map((token, place) => {
    const other = first.tokens[place]
    return { place, text: token.text, logprob: token.logprob, differs: other ? nameOf(other) !== nameOf(token) : isFirstOver }
  })
}

/** Everything from the first character on that is not the same. */
function compareTexts(first: string, { text, tokens }: Text, isFirstOver: boolean): Piece[] {
  let shared = 0
  while (shared < text.length && text[shared] === first[shared]) shared += 1
  if (shared > 0 && (text.charCodeAt(shared) & 0xfc00) === 0xdc00) shared -= 1
  const isOpen = shared === first.length && !isFirstOver
  if (tokens.length === 0) {
    const pieces = [{ place: null, text: text.slice(0, shared), logprob: null, differs: false }, { place: null, text: text.slice(shared), logprob: null, differs: !isOpen }]
    return pieces.filter((piece) => piece.text !== '')
  }
  let at = 0
  return tokens.map((token, place) => {
    at += token.text.length
    return { place, text: token.text, logprob: token.logprob, differs: at > shared && !isOpen }
  })
}

/** What a model gave another token in its own token's place; null where it does not say. */
export function chanceOf(wanted: Token, own: Token | undefined): number | null {
  const isWanted = ({ text }: Alternative): boolean => text === nameOf(wanted)
  return own?.top.find(isWanted)?.logprob ?? null
}
