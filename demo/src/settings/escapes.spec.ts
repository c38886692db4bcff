import { describe, expect, it } from 'vitest'

import { escapeText, unescapeText } from './escapes'

describe('escapes', () => {
  it('shows and reads a newline as \\n', () => {
    expect(escapeText('\n\nQ:')).toBe('\\n\\nQ:')
    expect(unescapeText('\\n\\nQ:')).toBe('\n\nQ:')
  })

  it('takes a bare quote, a lone backslash and an unknown escape as they are', () => {
    expect(unescapeText('"')).toBe('"')
    expect(unescapeText('\\')).toBe('\\')
    expect(unescapeText('\\d\\"')).toBe('\\d\\"')
    expect(unescapeText('\\\\n')).toBe('\\n')
    expect(unescapeText('\\u0041\\u12')).toBe('A\\u12')
  })

  it('gives back any text', () => {
    const pieces = ['\n', '\r', '\t', '\\', 'n', 'u', '0041', '"', "'", ' ', 'é', '🏝', '\u0000', '\u2028', '\ufeff']
    for (let round = 0; round < 3000; round += 1) {
      const text = Array.from({ length: round % 9 }, (_, at) => pieces[(round * 7 + at * (round % 13) + at) % pieces.length]).join('')
      expect(unescapeText(escapeText(text))).toBe(text)
      expect(escapeText(text)).not.toMatch(/[\n\r\t]/)
    }
  })
})
