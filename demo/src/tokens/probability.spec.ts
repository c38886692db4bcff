import { afterEach, describe, expect, it, vi } from 'vitest'

import { setLanguage } from '../i18n/catalogue'
import french from '../i18n/fr.json'
import { formatFigure, formatLogprob, formatPercent, probabilityOf, stepClass, surprisalOf } from './probability'

afterEach(async () => {
  vi.unstubAllGlobals()
  await setLanguage('en')
})

describe('probabilities', () => {
  it('become steps of colour at round shares', () => {
    expect([1, 0.9, 0.899, 0.5, 0.3, 0.1, 0.0999, 0.01, 0.001].map((p) => stepClass(Math.log(p)))).toEqual(['p0', 'p0', 'p1', 'p1', 'p2', 'p3', 'p4', 'p4', 'p5'])
    expect(stepClass(0)).toBe('p0')
    expect(stepClass(-9999)).toBe('p5')
    expect(stepClass(null)).toBe('unknown')
  })

  it('are never above one nor surprising below zero, whatever rounding did to the logarithm', () => {
    expect(probabilityOf(1e-7)).toBe(1)
    expect(surprisalOf(1e-7)).toBe(0)
    expect(surprisalOf(Math.log(0.25))).toBeCloseTo(2)
    expect(surprisalOf(-9999)).toBe(Infinity)
  })

  it('are written with one digit', () => {
    expect([1, 0.6321, 0.05, 0.0004, 0].map(formatPercent)).toEqual(['100.0 %', '63.2 %', '5.0 %', '<0.1 %', '0.0 %'])
    expect([-0.459, 0, -0.001, -9999].map(formatLogprob)).toEqual(['−0.46', '0.00', '0.00', '−∞'])
    expect([12.3456, 1234567, 2.5e43, Infinity].map(formatFigure)).toEqual(['12.35', '1235000', '2.5E43', '∞'])
  })

  it('are written as French writes them', async () => {
    vi.stubGlobal('fetch', () => Promise.resolve(Response.json(french)))
    await setLanguage('fr')
    expect(formatPercent(0.6321)).toBe('63,2\u202f%')
    expect(formatLogprob(-0.459)).toBe('−0,46')
    expect(formatFigure(12.3456)).toBe('12,35')
  })
})
