import { parseAst, type Plugin } from 'vite'

/**
 * The English words are written where they are used, in the catalogues of src/i18n, for the compiler to hold every use to them. They
 * are data like those of other languages: the build takes them out of the scripts, and puts them as JSON into index.html. There they
 * come with the page, with no request more, and before the first script runs (src/i18n/catalogue.ts reads them).
 */

/** The words of a language, by the name of their catalogue. */
export type Words = Record<string, Record<string, string>>

/** As much of a syntax tree as is looked at. */
interface Node {
  type: string
  start: number
  end: number
  [field: string]: unknown
}

/** Where the words stand in index.html: data of this type is no script, and the page's policy lets it be. */
const ELEMENT = { tag: 'script', attrs: { type: 'application/json', id: 'words' }, injectTo: 'body' as const }

/** The calls `catalogue(…)` below a node. */
function callsIn(node: unknown): Node[] {
  if (typeof node !== 'object' || node === null) return []
  const found = Object.values(node).flatMap(callsIn)
  const { type, callee } = node as { type?: unknown; callee?: { name?: unknown } }
  return type === 'CallExpression' && callee?.name === 'catalogue' ? [node as Node, ...found] : found
}

/** A text as it is written in the code, in one piece or in several with a plus between. */
function textOf(node: Node): string {
  if (node.type === 'BinaryExpression' && node.operator === '+') return textOf(node.left as Node) + textOf(node.right as Node)
  if (node.type !== 'Literal' || typeof node.value !== 'string') throw new Error(`A catalogue holds texts alone, not a ${node.type}`)
  return node.value
}

function entryOf(property: Node): [string, string] {
  const key = property.key as Node
  return [String(key.name ?? key.value), textOf(property.value as Node)]
}

/** The words of the catalogues that a module makes, and the module without them. */
export function takeWords(code: string): { words: Words; code: string } {
  const words: Words = {}
  let rest = code
  const calls = callsIn(parseAst(code, { lang: 'ts' }))
  for (const call of calls.sort((one, other) => other.start - one.start)) { // from the end on, so that the places before stay
    const [name, english] = call.arguments as [Node, Node | undefined]
    if (english?.type !== 'ObjectExpression') throw new Error('A catalogue is made of a name and an object of texts')
    words[textOf(name)] = Object.fromEntries((english.properties as Node[]).map(entryOf))
    rest = rest.slice(0, name.end) + rest.slice(english.end)
  }
  return { words, code: rest }
}

export function wordsApart(): Plugin {
  const all: Words = {}
  return {
    name: 'words-apart',
    apply: 'build',
    enforce: 'pre',
    transform: {
      filter: { id: /\/src\/i18n\/\w+\.ts$/ },
      handler(code) {
        const taken = takeWords(code)
        Object.assign(all, taken.words)
        return { code: taken.code, map: null }
      },
    },
    transformIndexHtml: () => [{ ...ELEMENT, children: JSON.stringify(all).replaceAll('<', '\\u003c') }],
  }
}
