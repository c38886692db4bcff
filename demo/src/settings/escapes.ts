/**
 * Text in a one-line field: a newline is shown and typed as `\n`. `unescapeText(escapeText(s)) === s` for every s, and
 * anything may be typed: a quote stands for itself, and a backslash before any other character too.
 */

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' }
const LONG: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\\': '\\' }

export function escapeText(text: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are what is to be made visible
  return text.replace(/[\\\u0000-\u001f\u007f\u2028\u2029\ufeff]/g, (character) =>
    SHORT[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

export function unescapeText(typed: string): string {
  return typed.replace(/\\(?:u([0-9a-fA-F]{4})|([nrt\\]))/g, (_, hex: string | undefined, letter: string) =>
    hex === undefined ? (LONG[letter] ?? '') : String.fromCharCode(Number.parseInt(hex, 16)))
}
