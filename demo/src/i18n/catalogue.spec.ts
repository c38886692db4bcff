/// <reference types="vite/client" />
import { afterEach, describe, expect, it } from 'vitest'

import { catalogue, formatCount, formatDecimal, plural, useLanguage, type Translation } from './catalogue'
import * as french from './fr'

type Words = Readonly<Record<string, unknown>>

/** Every catalogue of the page: `area.NAME` to its words in the language in use. */
const CATALOGUES: readonly [string, Words][] = Object.entries(import.meta.glob<Words>('./*.ts', { eager: true }))
  .filter(([path]) => !path.includes('catalogue') && !path.includes('.spec'))
  .flatMap(([path, module]) => Object.entries(module).filter(([, words]) => typeof words === 'object').map(([name, words]): [string, Words] => [`${path.slice(2, -3)}.${name}`, words as Words]))

/** Entries that are the same words in both languages. Add yours: the list is short, and each is meant. */
const SAME_IN_BOTH: readonly string[] = [
  'tokens.tokens.tokens', 'tokens.tokens.token', 'tokens.tokens.facts', 'tokens.tokens.overTokens', 'tokens.tokens.bits',
  'sessions.sessionWords.session', 'presets.presetNames.classic', 'page.page.api', 'page.tabs.Tokens', 'page.tabs.Code',
  'settings.parameterLabels.top_p', 'settings.parameterLabels.top_k', 'settings.parameterLabels.min_p', 'settings.parameterLabels.logprobs',
]

afterEach(() => useLanguage('en'))

async function inLanguage<T>(chosen: 'en' | 'fr', read: () => T): Promise<T> {
  await useLanguage(chosen)
  return read()
}

/** What an entry comes to. Functions are called with figures, which a template takes for names, too; those that hand a name through, with names. */
function samples(entry: unknown): string[] {
  if (typeof entry === 'string') return [entry]
  if (Array.isArray(entry)) return entry as string[]
  const call = entry as (...values: unknown[]) => unknown
  const results = (values: unknown[]): unknown[] => values.map((value) => call(...Array.from({ length: Math.max(1, call.length) }, () => value)))
  const figures = results([0, 1, 2, 1234.5])
  return (figures.every((each) => typeof each === 'string') ? figures : results(['x', 'length', 'token', 'character'])) as string[]
}

describe('the catalogues', () => {
  it('are there in French by their names, and no others', () => {
    expect(Object.keys(french).sort()).toEqual(CATALOGUES.map(([name]) => name.replace(/.*\./, '')).sort())
  })

  describe.each(CATALOGUES)('%s', (area, words) => {
    it.each(Object.keys(words))('%s says something in both languages, and not the same', async (name) => {
      const english = await inLanguage('en', () => samples(words[name]))
      const translated = await inLanguage('fr', () => samples(words[name]))
      for (const text of [...english, ...translated]) {
        expect(text).toEqual(expect.any(String))
        expect(text).not.toMatch(/undefined|NaN|\[object|^\s*$/)
      }
      expect(translated).toHaveLength(english.length)
      const isSame = JSON.stringify(english) === JSON.stringify(translated)
      expect(isSame, isSame ? 'the same in both languages' : 'listed as the same, and is not').toBe(SAME_IN_BOTH.includes(`${area}.${name}`))
    })

    it('sets French as French is set', async () => {
      const texts = await inLanguage('fr', () => Object.values(words).flatMap(samples))
      for (const text of texts) {
        expect(text).not.toMatch(/[a-zà-ÿ]'/i) // the apostrophe is ’
        expect(text).not.toMatch(/[^\u202f\u00a0\d:/][;!?»](?:\s|$)/) // a narrow no-break space before these…
        expect(text).not.toMatch(/[^\u202f\u00a0]:\s/) // …and before a colon that is punctuation
        expect(text).not.toMatch(/«[^\u202f\u00a0]|"/)
        expect(text).not.toMatch(/\.\.\./)
      }
    })
  })
})

describe('catalogue', () => {
  const words = catalogue('words', { hello: 'Hello', tokens: (count: number) => plural(count, 'token', 'tokens'), row: ['one', 'two'] })

  it('reads its English words where there are no others', async () => {
    const read = (): unknown[] => [words.hello, words.tokens(0), words.tokens(1), words.tokens(1234), words.row]
    expect(await inLanguage('en', read)).toEqual(['Hello', '0 tokens', '1 token', '1,234 tokens', ['one', 'two']])
    expect((await inLanguage('fr', read)).slice(1, 4)).toEqual(['0 token', '1 token', '1\u202f234 tokens'])
  })

  it('holds other languages to it by the compiler', () => {
    type Words = Translation<{ text: 'one'; count: (count: number) => string; row: readonly ['one', 'two'] }>
    const all = { text: 'un', count: (count: number) => `${count}`, row: ['un', 'deux'] as const }
    const words: Words = all
    expect(words.text).toBe('un')
    // @ts-expect-error an entry lacks
    void ({ count: all.count, row: all.row } satisfies Words)
    // @ts-expect-error an entry is too many
    void ({ ...all, more: 'plus' } satisfies Words)
    // @ts-expect-error a text stands for a function
    void ({ ...all, count: 'un' } satisfies Words)
    // @ts-expect-error a function asks for other values
    void ({ ...all, count: (name: string) => name } satisfies Words)
    // @ts-expect-error a row is shorter
    void ({ ...all, row: ['un'] } satisfies Words)
    // @ts-expect-error nobody knows this entry
    expect(words.goodbye).toBeUndefined()
  })
})

describe('numbers', () => {
  it('have the separators of their language', async () => {
    expect([formatCount(20000), formatDecimal(12.34, 1), formatDecimal(3, 2)]).toEqual(['20,000', '12.3', '3.00'])
    expect(await inLanguage('fr', () => [formatCount(20000), formatDecimal(12.34, 1), formatDecimal(3, 2)])).toEqual(['20\u202f000', '12,3', '3,00'])
  })
})
