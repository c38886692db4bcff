import type { WireToken } from '../api/wire'
import type { Alternative, Token } from './tree'

/**
 * Which part of a text each of its tokens wrote. The server's `text_offset` counts code points and its tokens stand alone, so
 * neither can slice a JavaScript string: the tokens are walked along the text instead.
 */

const SPECIAL = /^(?:<.+>|\[[A-Z_]+\]|)$/s
const BYTES = /^bytes:(?:\\x[0-9a-f]{2})+$/i

/** The bytes of `bytes:\xe2\x80`, which is how the API writes a token that is not whole characters; null for any other token. */
function bytesOf(text: string): number[] | null {
  if (!BYTES.test(text)) return null
  return text.slice('bytes:'.length + 2).split('\\x').map((hex) => Number.parseInt(hex, 16))
}

function decodePart(bytes: readonly number[]): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes), { stream: true })
}

/** The bytes at the end that may still become a character. */
function unfinished(bytes: readonly number[]): number[] {
  for (let count = Math.min(3, bytes.length); count > 0; count -= 1) {
    const end = bytes.slice(-count)
    if (decodePart(end) === '') return end
  }
  return []
}

/** What a token adds to a text that has `held` bytes of an unfinished character at its end, and the bytes held after it. */
function decode(held: readonly number[], token: string): [text: string, held: number[]] {
  const own = bytesOf(token)
  if (own === null && held.length === 0) return [token, []]
  const bytes = [...held, ...(own ?? new TextEncoder().encode(token))]
  return [decodePart(bytes), unfinished(bytes)]
}

/** What a token in the place of another would add to the text after the tokens `before` it. */
export function addedBy(before: readonly Token[], alternative: Alternative): string {
  if (SPECIAL.test(alternative.text)) return ''
  const held = before.reduce<number[]>((bytes, token) => (token.text === '' && SPECIAL.test(token.shown ?? '') ? bytes : decode(bytes, token.shown ?? token.text)[1]), [])
  return decode(held, alternative.text)[0]
}

function named(token: WireToken, text: string): Token {
  const { text: shown, ...rest } = token
  return shown === text ? { text, ...rest } : { text, shown, ...rest }
}

/**
 * Spells a text that grows, with tokens that may run ahead of it: a server holds text back that may be the beginning of a stop
 * string, and the tokens of the stop string itself never get any.
 */
export class Speller {
  private text = ''
  private readonly wire: WireToken[] = []
  private settled: Token[] = []
  /** The end of the settled tokens in the text, and the bytes of a character that they have begun. */
  private at = 0
  private held: number[] = []
  /** Whether a special token at the beginning is taken not to stand in the text, although the text begins with the same characters. */
  private skipsFirst = false
  private hasFailed = false

  /** Takes in more of both. Gives the tokens, which concatenate to the text so far, or none where they do not spell it. */
  push(text: string, tokens: readonly WireToken[]): Token[] {
    this.text += text
    this.wire.push(...tokens)
    const ahead = this.hasFailed ? null : (this.walk() ?? this.walkAgain())
    this.hasFailed = ahead === null
    const spelled = this.at + (ahead?.[0]?.text.length ?? 0)
    return ahead && spelled === this.text.length ? [...this.settled, ...ahead] : []
  }

  /** Settles the tokens that the text has in full. Gives those beyond, the first with what there is of it; null when they are not of this text. */
  private walk(): Token[] | null {
    for (let index = this.settled.length; index < this.wire.length; index += 1) {
      const token = this.wire[index] as WireToken
      const [added, held] = decode(this.held, token.text)
      const found = this.find(added, token.text)
      if (found === null) return null
      if (!found.isWhole) return [named(token, found.text), ...this.wire.slice(index + 1).map((each) => named(each, ''))]
      this.settled.push(named(token, found.text))
      this.at += found.text.length
      if (!found.isSpecial) this.held = held
    }
    return []
  }

  /** What a token that adds `added` has in the text here. */
  private find(added: string, token: string): { text: string; isWhole: boolean; isSpecial?: true } | null {
    const isSpecial = SPECIAL.test(token)
    const isSkipped = isSpecial && this.skipsFirst && this.settled.length === 0
    // Some tokenizers put a space before a text, and take it away again.
    const ways = this.at === 0 && this.text !== '' && added.startsWith(' ') ? [added, added.slice(1)] : [added]
    const whole = ways.find((way) => this.text.startsWith(way, this.at))
    if (whole !== undefined && !isSkipped) return { text: whole, isWhole: true }
    if (isSpecial) return { text: '', isWhole: true, isSpecial }
    const rest = this.text.slice(this.at, this.at + added.length)
    return ways.some((way) => way.startsWith(rest)) ? { text: rest, isWhole: false } : null
  }

  private walkAgain(): Token[] | null {
    if (this.skipsFirst || !SPECIAL.test(this.wire[0]?.text ?? '-')) return null
    this.skipsFirst = true
    this.settled = []
    this.at = 0
    this.held = []
    return this.walk()
  }
}

/**
 * The tokens with what each adds to the text: nothing for a special token, for the first bytes of a character and for what a stop
 * string has cut off. None where they do not spell the text.
 */
export function spell(text: string, tokens: readonly WireToken[]): Token[] {
  return new Speller().push(text, tokens)
}
