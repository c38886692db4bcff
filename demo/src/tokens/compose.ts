import type { DocumentNode, NodeId, Token } from '../document/tree'

/** A text with its tokens, as `score` gives it. */
export interface ScoredText {
  text: string
  tokens: readonly Token[]
}

/**
 * One thing in the token view:
 *   recorded  a token that the model wrote, with its place in the document
 *   scored    a token of the scored text
 *   next      what may come after the end; it adds nothing to the text
 *   plain     text without known tokens
 */
export type Item =
  | { kind: 'recorded'; text: string; start: number; token: Token; node: NodeId; index: number }
  | { kind: 'scored'; text: string; start: number; token: Token }
  | { kind: 'next'; text: ''; start: number; token: Token }
  | { kind: 'plain'; text: string; start: number; token: null }

/** Which of several scored texts says most about a text: the one that agrees with it the longest. */
export function bestFor<Candidate extends ScoredText>(text: string, candidates: readonly (Candidate | null)[]): Candidate | null {
  let best: Candidate | null = null
  let longest = 0
  for (const candidate of candidates) {
    let shared = 0
    while (candidate && shared < candidate.text.length && candidate.text[shared] === text[shared]) shared += 1
    if (candidate && shared > longest) [best, longest] = [candidate, shared]
  }
  return best
}

/** Plain text is cut into pieces of about this many UTF-16 units, so that no piece is too much to draw. */
const PLAIN_UNITS = 400

/** How much of a text its tokens spell from the beginning: all of it, a part that still grows, or 0 where they disagree. */
function spelledLength(text: string, tokens: readonly Token[]): number {
  let at = 0
  for (const token of tokens) {
    if (!text.startsWith(token.text, at)) return 0
    at += token.text.length
  }
  return at
}

function isInsideCharacter(text: string, at: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === 0xdc00 && (text.charCodeAt(at - 1) & 0xfc00) === 0xd800
}

/** Adds text without tokens, in pieces that end at line ends or spaces where they can. */
function addPlain(items: Item[], text: string, start: number): void {
  for (let from = 0; from < text.length;) {
    let to = Math.min(text.length, from + PLAIN_UNITS)
    if (to < text.length) {
      const border = Math.max(text.lastIndexOf('\n', to - 1), text.lastIndexOf(' ', to - 1)) + 1
      if (border > from + PLAIN_UNITS / 2) to = border
      else if (isInsideCharacter(text, to)) to -= 1
    }
    items.push({ kind: 'plain', text: text.slice(from, to), start: start + from, token: null })
    from = to
  }
}

/** The scored tokens that still stand: those in the part of the text that has not changed since. Gives where they end. */
function addScored(items: Item[], scored: ScoredText, text: string): number {
  if (spelledLength(scored.text, scored.tokens) !== scored.text.length) return 0
  let start = 0
  for (const token of scored.tokens) {
    if (!text.startsWith(token.text, start)) break
    items.push({ kind: 'scored', text: token.text, start, token })
    start += token.text.length
  }
  // The first bytes of a character that is no longer there.
  while (items.length < scored.tokens.length && items.at(-1)?.text === '') items.pop()
  return start
}

/** A model's piece of the text from `from` on: its recorded tokens where they spell it, plain text elsewhere. */
function addNode(items: Item[], node: DocumentNode, start: number, from: number): void {
  const spelled = spelledLength(node.text, node.tokens)
  let at = 0
  let plainFrom = from
  if (spelled > 0 || node.text === '') {
    for (const [index, token] of node.tokens.entries()) {
      if (at >= from) {
        if (at > plainFrom) addPlain(items, node.text.slice(plainFrom, at), start + plainFrom)
        items.push({ kind: 'recorded', text: token.text, start: start + at, token, node: node.id, index })
        plainFrom = at + token.text.length
      }
      at += token.text.length
    }
  }
  addPlain(items, node.text.slice(plainFrom), start + plainFrom)
}

/**
 * The visible text as what the token view shows. Scored tokens come first, as far as the scored text still is the beginning of the
 * document's; then the tokens that the model's pieces have recorded. The items' texts always join to the document's text.
 */
export function compose(path: readonly DocumentNode[], scored: ScoredText | null): Item[] {
  const items: Item[] = []
  const scoredEnd = scored ? addScored(items, scored, path.map(({ text }) => text).join('')) : 0
  let start = 0
  for (const node of path) {
    const end = start + node.text.length
    if (end > scoredEnd || start >= scoredEnd) addNode(items, node, start, Math.max(0, scoredEnd - start))
    start = end
  }
  return items
}

/**
 * Where the part of the text ends that is worth scoring: what a model has written behind it has its probabilities, and the tokens are
 * those that it wrote, which no tokenizer would find again for sure.
 */
export function endToScore(path: readonly DocumentNode[], model: string): number {
  let end = 0
  let at = 0
  for (const { text, tokens, meta } of path) {
    at += text.length
    const isKnown = meta?.model === model && tokens.some(({ logprob }) => logprob !== null) && spelledLength(text, tokens) === text.length
    if (!isKnown) end = at
  }
  return end > 0 ? end : at
}

/** A scored text by itself; none where its tokens do not spell it. */
export function composeScored(scored: ScoredText): Item[] {
  const items: Item[] = []
  addScored(items, scored, scored.text)
  return items
}

/**
 * The ids of all tokens before an item: only where they are known from the text's very beginning, as they are when it has been scored.
 * What ended a model's piece without a text of its own is no part of what a model reads after it.
 */
export function idsBefore(items: readonly Item[], index: number): number[] | null {
  if (items[0]?.kind !== 'scored') return null
  const ids: number[] = []
  for (const { kind, text, token } of items.slice(0, index)) {
    if (kind === 'recorded' && text === '' && !token.shown?.startsWith('bytes:')) continue
    if (!token || token.id === null) return null
    ids.push(token.id)
  }
  return ids
}
