/** A text in one line, in two halves: where there is little room the first is cut at its end, so that the middle goes. */
export interface Preview {
  start: string
  end: string
}

/** Texts up to this length are given whole; of longer ones at most so much is at the start and at the end, in UTF-16 units. */
const WHOLE = 40
const START = 240
const END = 16

const VISIBLE: Readonly<Record<string, string>> = { '\r\n': '↵', '\n': '↵', '\r': '↵', '\t': '⇥' }

export function previewOf(whole: string): Preview {
  const text = whole.replace(/^ +(?=\S)/, '') // a space before the first word only sets the lines out of line
  if (text.length <= WHOLE) return { start: oneLine(text), end: '' }
  const from = endOf(text)
  const to = border(text, Math.min(from, START))
  return { start: oneLine(text.slice(0, to)) + (to < from ? '…' : ''), end: oneLine(text.slice(from)) }
}

/** The same in one piece, short, for where nothing can be cut by the room there is. */
export function shortOf(text: string, start = 80): string {
  if (text.length <= start + END) return oneLine(text)
  return `${oneLine(text.slice(0, border(text, start)))} … ${oneLine(text.slice(endOf(text)))}`
}

/** Where the end begins: with a word, if there is one to begin with. */
function endOf(text: string): number {
  const word = text.slice(-END, -END / 2).search(/\s\S/)
  return border(text, text.length - END + Math.max(0, word))
}

function oneLine(text: string): string {
  return text.replace(/\r\n|[\n\r\t]/g, (break_) => VISIBLE[break_] ?? break_)
}

/** `at`, or the place before it where that would cut a character in half. */
function border(text: string, at: number): number {
  return (text.charCodeAt(at) & 0xfc00) === 0xdc00 ? at - 1 : at
}
