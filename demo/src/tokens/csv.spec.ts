import { describe, expect, it } from 'vitest'

import type { Token } from '../document/tree'
import { csvOf, csvText } from './csv'

/** A plain reader of RFC 4180, to read back what is written. */
function readCsv(text: string): string[][] {
  const rows: string[][] = [[]]
  for (const [, quoted, bare, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/g)) {
    rows.at(-1)?.push(quoted?.replaceAll('""', '"') ?? bare ?? '')
    if (end === '\r\n') rows.push([])
    if (end === '') break
  }
  return rows.filter((row) => row.length > 1)
}

const token = (text: string, logprob: number | null, top: Token['top'] = [], shown?: string): Token => ({ text, id: 5, logprob, top, ...(shown === undefined ? {} : { shown }) })

describe('a CSV field', () => {
  it('is quoted where it must be', () => {
    expect(csvText('word')).toBe('word')
    expect(csvText('say "a, b"')).toBe('"say ""a, b"""')
    expect(csvText('a\nb')).toBe('"a\nb"')
    expect(csvText(' Paris')).toBe('" Paris"')
  })

  it('is never a formula', () => {
    for (const start of ['=', '+', '-', '@', '\t', '\r', '\n', '＝']) expect(readCsv(`x,${csvText(`${start}1+1`)}`)).toEqual([['x', `'${start}1+1`]])
    expect(csvText('a=1')).toBe('a=1')
  })
})

describe('the CSV of a text', () => {
  const half = Math.log(0.5)

  it('has a row a token, with figures at full precision', () => {
    const rows = readCsv(csvOf([token('Q', null), token(' "x",\n', half, [{ text: ' y', logprob: -0.1, id: 3 }, { text: ' "x",\n', logprob: half, id: 5 }])], 5))
    expect(rows).toEqual([
      ['index', 'token', 'token_id', 'logprob', 'probability', 'surprisal_bits', 'rank', 'alternatives'],
      ['0', 'Q', '5', '', '', '', '', ''],
      ['1', ' "x",\n', '5', String(half), '0.5', '1', '2', JSON.stringify([[' y', -0.1, 3], [' "x",\n', half, 5]])],
    ])
  })

  it('knows no rank beyond the alternatives that were asked for', () => {
    const top = [{ text: 'a', logprob: -0.5, id: 1 }, { text: 'b', logprob: -1, id: 2 }, { text: 'c', logprob: -9, id: 5 }]
    expect(readCsv(csvOf([token('c', -9, top)], 2))[1]?.[6]).toBe('')
    expect(readCsv(csvOf([token('c', -9, top)], 3))[1]?.[6]).toBe('3')
  })

  it('writes bytes and special tokens as the server does', () => {
    expect(readCsv(csvOf([token('', -1, [], 'bytes:\\xe2')], 5))[1]?.[1]).toBe('bytes:\\xe2')
  })
})
