import { describe, expect, it } from 'vitest'

import { previewOf, shortOf } from './preview'

describe('previewOf', () => {
  it('gives a short text whole, with its line breaks to be seen', () => {
    expect(previewOf(' a\nb\r\n\tc')).toEqual({ start: 'a↵b↵⇥c', end: '' })
  })

  it('gives both ends of a longer one, and says where something is missing', () => {
    const text = 'One day, a very long time ago, there was a text of some length.'
    const { start, end } = previewOf(text)
    expect(start + end).toBe(text)
    expect(end).toBe(' of some length.')
    const long = previewOf(text.repeat(20))
    expect(long.start).toMatch(/^One day.*…$/)
    expect(long.end).toBe(end)
  })

  it('cuts no character in half, wherever the cut falls', () => {
    for (let before = 0; before < 40; before += 1) {
      const text = 'x'.repeat(before) + '🏝'.repeat(200)
      const { start, end } = previewOf(text)
      expect((start + end + shortOf(text)).isWellFormed()).toBe(true)
    }
  })
})

describe('shortOf', () => {
  it('leaves out the middle', () => {
    expect(shortOf('abc')).toBe('abc')
    expect(shortOf(`${'a'.repeat(90)}\n${'b'.repeat(90)}`)).toBe(`${'a'.repeat(80)} … ${'b'.repeat(16)}`)
  })
})
