import type { Alternative, Token } from '../document/tree'

/** How a token looks where its whitespace matters. */
const MARKS: Readonly<Record<string, string>> = { ' ': '␣', '\n': '↵', '\t': '⇥' }

/**
 * A token's text with everything visible: `␣ ↵ ⇥`, and an escape for each character that has no shape of its own or that
 * would move the text around it (controls, joiners, marks of direction, halves of characters).
 */
export function printed(text: string): string {
  if (text === '') return '∅'
  return text.replace(/[\p{C}\p{Z}]/gu, (character) =>
    MARKS[character] ?? `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`)
}

export function printedToken(token: Token): string {
  return printed(token.shown ?? token.text)
}

/** Part of a character: only its id can be written on. */
export function isBytes({ text }: Alternative): boolean {
  return text.startsWith('bytes:')
}
