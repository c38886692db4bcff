import { describe, expect, it } from 'vitest'

import { readPresets, withPreset, type OwnPreset } from './ownPresets'
import { isAs, PRESETS } from './presets'
import { initialSettings } from './settings'

describe('presets', () => {
  it('hold Classic Sandle as it has always been', () => {
    const { text, settings } = PRESETS.classic
    expect(text.split('\n\n')).toHaveLength(7)
    expect(text).toMatch(/^Q: .*\nQ: What is the capital of France\?\nA:$/s)
    expect(settings).toMatchObject({ stop: ['\n'], restartText: '\n\nQ:', numbers: { max_tokens: 20, temperature: 0.7 } })
  })

  it('are recognised until something is changed, whatever the model', () => {
    const { text, settings } = structuredClone(PRESETS.story)
    expect(isAs(PRESETS.story, { text, settings: { ...settings, model: 'other' } })).toBe(true)
    expect(isAs(PRESETS.story, { text: `${text} a`, settings })).toBe(false)
    settings.numbers.temperature = 0
    expect(isAs(PRESETS.story, { text, settings })).toBe(false)
  })
})

describe('own presets', () => {
  const mine: OwnPreset = { name: 'Mine', text: 'Hello\n', settings: { ...initialSettings(), stop: ['\n'] } }

  it('are read as they were written', () => {
    const { numbers } = initialSettings()
    const other = { ...mine, name: 'Other', settings: { ...mine.settings, numbers: { ...numbers, seed: 3, temperature: 0 } } }
    expect(readPresets(JSON.stringify([mine, other]))).toEqual([mine, other])
  })

  it.each([null, '', '{', 'null', '5', '{"name":"a"}', '[null, 1, {}, {"name":" ","text":""}, {"name":"a"}, {"name":"a","text":5}]'])('are none in %s', (stored) => {
    expect(readPresets(stored)).toEqual([])
  })

  it('bring no model, and of one name the first', () => {
    const stored = [{ ...mine, settings: { ...mine.settings, model: 'm', key: 'k' } }, { ...mine, text: 'later' }]
    expect(readPresets(JSON.stringify(stored))).toEqual([mine])
  })

  it('are added at the end, or replaced where they are', () => {
    const second = { ...mine, name: 'Second' }
    expect(withPreset([mine], second)).toEqual([mine, second])
    expect(withPreset([mine, second], { ...mine, text: 'new' })).toEqual([{ ...mine, text: 'new' }, second])
  })
})
