import { describe, expect, it } from 'vitest'

import { printed, printedToken } from './printed'

describe('a printed token', () => {
  it('shows its whitespace', () => {
    expect(printed(' Paris')).toBe('␣Paris')
    expect(printed('.\n\n\tQ')).toBe('.↵↵⇥Q')
  })

  it('never holds a character that cannot be seen, or that moves others', () => {
    expect(printed('\u202eabc\u0007\u00a0\u200d\ufeff')).toBe('\\u202eabc\\u0007\\u00a0\\u200d\\ufeff')
    expect(printed('\ud83c')).toBe('\\ud83c')
    expect(printed('\r')).toBe('\\u000d')
  })

  it('leaves whole characters beyond the first plane, and markup, as they are', () => {
    expect(printed('🏝é日本')).toBe('🏝é日本')
    expect(printed('<img onerror>')).toBe('<img␣onerror>')
  })

  it('is what the server wrote for a token that adds no text, and never nothing', () => {
    expect(printedToken({ text: '', shown: 'bytes:\\xe2', id: 1, logprob: null, top: [] })).toBe('bytes:\\xe2')
    expect(printedToken({ text: '', id: 1, logprob: null, top: [] })).toBe('∅')
  })
})
