import { deflateRawSync } from 'node:zlib'

import { describe, expect, it } from 'vitest'

import { initialSettings, type Settings } from '../settings/settings'
import { MAX_JSON, MAX_PACKED, pack, unpack } from './codec'
import { isShared, makeLink, readLink } from './link'

const PAGE = 'https://example.org/sandle/'

/** Numbers that look random and are the same in every run. */
function* chances(seed: number): Generator<number, never> {
  for (let state = seed; ;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    yield state / 2 ** 32
  }
}

const PIECES = ['a', ' ', '\n', '"', '\\', '<img onerror>', 'é', '🏝', '\ud83c', '\udfdd', '\u0000', '\ufeff', '\u2028', 'the ', '#s=', '%00', '+/=']

function settingsFrom(next: () => number): Settings {
  const settings = initialSettings()
  if (next() < 0.5) settings.numbers.temperature = Math.round(next() * 40) / 20
  if (next() < 0.5) settings.numbers.seed = Math.floor(next() * 1e9)
  if (next() < 0.5) settings.stop = ['\n', '"'].slice(0, 1 + Math.floor(next() * 2))
  if (next() < 0.5) settings.restartText = '\n\nQ:'
  if (next() < 0.5) settings.model = 'org/model'
  settings.stripsWhitespace = next() < 0.5
  return settings
}

const hashOf = (link: string): string => link.slice(link.indexOf('#'))
const packRaw = (text: string | Uint8Array): string => deflateRawSync(text).toString('base64url')

/** Streams of a test machine that other work uses, too. */
const PATIENCE = { timeout: 60_000 }

describe('a link', PATIENCE, () => {
  it('gives back any text and settings', async () => {
    const random = chances(4)
    const next = (): number => random.next().value
    for (let round = 0; round < 60; round += 1) {
      const text = Array.from({ length: Math.floor(next() * 60) }, () => PIECES[Math.floor(next() * PIECES.length)]).join('')
      const shared = { text, settings: settingsFrom(next) }
      const link = await makeLink(`${PAGE}#s=old\n`, shared)
      expect(link).toMatch(/^https:\/\/example\.org\/sandle\/#s=[\w-]+$/)
      expect(await readLink(hashOf(link))).toEqual(shared)
    }
  })

  it('carries a long text, and only the settings that were changed', async () => {
    const text = 'Once upon a time. '.repeat(20_000)
    const settings = { ...initialSettings(), model: 'm' }
    settings.numbers.temperature = 0
    const hash = hashOf(await makeLink(PAGE, { text, settings }))
    expect(await unpack(hash.slice(3))).toEqual({ v: 1, text, settings: { numbers: { temperature: 0 } }, model: 'm' })
    expect(hash.length).toBeLessThan(text.length / 20)
  })

  it('is known by its mark', () => {
    expect(['#s=abc', '#s=', '#t=abc', '', '#'].map(isShared)).toEqual([true, true, false, false, false])
  })

  it('that was cut anywhere is refused', async () => {
    const hash = hashOf(await makeLink(PAGE, { text: 'Grüße, 🏝\n'.repeat(3), settings: initialSettings() }))
    for (let end = 3; end < hash.length; end += 1) await expect(readLink(hash.slice(0, end)), `cut at ${end}`).rejects.toMatchObject({ reason: 'broken' })
  })

  it('with a letter changed is refused or read, and never breaks', async () => {
    const hash = hashOf(await makeLink(PAGE, { text: 'The capital of France is Paris.', settings: initialSettings() }))
    for (let at = 3; at < hash.length; at += 2) {
      for (const letter of ['A', '-', 'é']) {
        const read = await readLink(hash.slice(0, at) + letter + hash.slice(at + 1)).catch((error: { reason: string }) => error.reason)
        if (read !== 'broken') expect(typeof (read as { text: string }).text).toBe('string')
      }
    }
  })

  it.each([
    ['no JSON', 'not json'],
    ['no object', '"text"'],
    ['nothing', 'null'],
    ['another version', '{"v":2,"text":"a"}'],
    ['no text', '{"v":1}'],
    ['a text that is none', '{"v":1,"text":{"length":5}}'],
    ['bytes that are no UTF-8', Uint8Array.from([0x22, 0xff, 0xfe, 0x22])],
  ])('with %s in it is refused', async (_, inside) => {
    await expect(readLink(`#s=${packRaw(inside)}`)).rejects.toMatchObject({ reason: 'broken' })
  })

  it('with settings that make no sense falls back to where the page starts', async () => {
    const hostile = { v: 1, text: 'a', model: 5, settings: { numbers: { temperature: 9e99, n: 'many', seed: null, top_k: -4 }, stop: ['', 3, '\n'], startText: {}, key: 'k' } }
    const { settings } = await readLink(`#s=${packRaw(JSON.stringify(hostile))}`)
    const expected = initialSettings()
    expected.numbers.temperature = 2
    expect(settings).toEqual({ ...expected, stop: ['\n'] })
  })
})

describe('hostile sizes', PATIENCE, () => {
  it('are refused before they are inflated, and while they are', async () => {
    await expect(unpack('A'.repeat(MAX_PACKED + 1))).rejects.toMatchObject({ reason: 'large' })
    const bomb = packRaw(Buffer.alloc(8 * MAX_JSON, 0x20))
    expect(bomb.length).toBeLessThan(MAX_PACKED)
    await expect(unpack(bomb)).rejects.toMatchObject({ reason: 'large' })
  })

  it('are not made either', async () => {
    await expect(pack('x'.repeat(MAX_JSON))).rejects.toMatchObject({ reason: 'large' })
    const random = chances(7)
    const noise = Array.from({ length: 900_000 }, () => String.fromCharCode(33 + Math.floor(random.next().value * 94))).join('')
    await expect(pack(noise)).rejects.toMatchObject({ reason: 'large' })
    expect(await unpack(await pack('x'.repeat(MAX_JSON - 2)))).toHaveLength(MAX_JSON - 2)
  })
})
