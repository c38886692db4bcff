import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

import { STEPS } from './probability'

/** The two palettes of the style sheets, read as a browser would. */
const css = ['base', 'tokens'].map((name) => readFileSync(new URL(`../styles/${name}.css`, import.meta.url), 'utf8')).join('\n')

function colour(name: string, theme: 'light' | 'dark'): string {
  const found = new RegExp(`--${name}: light-dark\\((#[0-9a-f]{6}), (#[0-9a-f]{6})\\)`).exec(css)
  const value = theme === 'light' ? found?.[1] : found?.[2]
  if (!value) throw new Error(`The style sheets have no colour ${name}`)
  return value
}

/** WCAG's relative luminance. */
function luminance(hex: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(hex.slice(at, at + 2), 16) / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

function contrast(one: string, other: string): number {
  const [high = 0, low = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a)
  return (high + 0.05) / (low + 0.05)
}

describe.each(['light', 'dark'] as const)('the %s palette of the token view', (theme) => {
  const steps = STEPS.map((_, step) => colour(`p${step}`, theme))

  it('can be read at every step', () => {
    for (const step of steps) expect(contrast(step, colour('ink', theme))).toBeGreaterThanOrEqual(4.5)
  })

  it('goes one way, away from the paper', () => {
    const distances = steps.map((step) => contrast(step, colour('sheet', theme)))
    expect([...distances].sort((a, b) => a - b)).toEqual(distances)
    expect(distances.at(-1)).toBeGreaterThan(2.5)
  })
})
