import { describe, expect, it } from 'vitest'

import type { Item } from './compose'
import { nearestToken, stepFrom } from './steps'

/** `-` is plain text, `.` a likely token, `!` an unlikely one, `0` one without a probability. */
const items = (signs: string): Item[] => [...signs].map((sign, start) => sign === '-'
  ? { kind: 'plain', text: '-', start, token: null }
  : { kind: 'scored', text: sign, start, token: { text: sign, id: null, logprob: sign === '0' ? null : sign === '.' ? -0.1 : -5, top: [] } })

describe('keys in the token view', () => {
  it('move between tokens, over plain text, and stay at the ends', () => {
    const found = items('0.--.!-')
    expect(stepFrom(found, 1, 'ArrowRight', false)).toBe(4)
    expect(stepFrom(found, 4, 'ArrowLeft', false)).toBe(1)
    expect(stepFrom(found, 5, 'ArrowRight', false)).toBeNull()
    expect(stepFrom(found, 0, 'ArrowLeft', false)).toBeNull()
    expect([stepFrom(found, 4, 'Home', false), stepFrom(found, 1, 'End', false)]).toEqual([0, 5])
    expect(stepFrom(found, 1, 'x', false)).toBeNull()
  })

  it('jump with Ctrl to what surprises', () => {
    const found = items('!0..!..')
    expect(stepFrom(found, 1, 'ArrowRight', true)).toBe(4)
    expect(stepFrom(found, 4, 'ArrowLeft', true)).toBe(0)
    expect(stepFrom(found, 4, 'ArrowRight', true)).toBeNull()
  })

  it('start at a token, wherever the text has shrunk to', () => {
    expect(nearestToken(items('--.-'), 0)).toBe(2)
    expect(nearestToken(items('.--'), 2)).toBe(0)
    expect(nearestToken(items('..'), 9)).toBe(1)
    expect(nearestToken(items('--'), 0)).toBe(-1)
    expect(nearestToken(items('..'), -1)).toBe(-1)
  })
})
