/// <reference types="vite/client" />
import { afterEach, describe, expect, it } from 'vitest'

import { catalogue, formatCount, formatDecimal, language, plural } from './catalogue'

type Words = Readonly<Record<string, unknown>>

/** Every catalogue of the page: `area.NAME` to its words in the language in use. */
const CATALOGUES: readonly [string, Words][] = Object.entries(import.meta.glob<Words>('./*.ts', { eager: true }))
  .filter(([path]) => !path.includes('catalogue') && !path.includes('.spec'))
  .flatMap(([path, module]) => Object.entries(module).map(([name, words]): [string, Words] => [`${path.slice(2, -3)}.${name}`, words as Words]))

/** Entries that are the same words in both languages. Add yours: the list is short, and each is meant. */
const SAME_IN_BOTH: readonly string[] = [
  'tokens.tokens.tokens', 'tokens.tokens.token', 'tokens.tokens.facts', 'tokens.tokens.overTokens', 'tokens.tokens.bits',
  'sessions.sessionWords.session', 'presets.presetNames.classic', 'page.page.api', 'page.tabs.Tokens', 'page.tabs.Code',
  'settings.parameterLabels.top_p', 'settings.parameterLabels.top_k', 'settings.parameterLabels.min_p', 'settings.parameterLabels.logprobs',
]

afterEach(() => { language.value = 'en' })

function inLanguage<T>(chosen: 'en' | 'fr', read: () => T): T {
  language.value = chosen
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
  it('are found', () => { expect(CATALOGUES.length).toBeGreaterThan(0) })

  describe.each(CATALOGUES)('%s', (area, words) => {
    it.each(Object.keys(words))('%s says something in both languages, and not the same', (name) => {
      const [english, french] = (['en', 'fr'] as const).map((each) => inLanguage(each, () => samples(words[name])))
      for (const text of [...(english ?? []), ...(french ?? [])]) {
        expect(text).toEqual(expect.any(String))
        expect(text).not.toMatch(/undefined|NaN|\[object|^\s*$/)
      }
      expect(french).toHaveLength(english?.length ?? -1)
      const isSame = JSON.stringify(english) === JSON.stringify(french)
      expect(isSame, isSame ? 'the same in both languages' : 'listed as the same, and is not').toBe(SAME_IN_BOTH.includes(`${area}.${name}`))
    })

    it('sets French as French is set', () => {
      const texts = inLanguage('fr', () => Object.values(words).flatMap(samples))
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
  const words = catalogue({
    en: { hello: 'Hello', tokens: (count: number) => plural(count, 'token', 'tokens'), row: ['one', 'two'] },
    fr: { hello: 'Bonjour', tokens: (count) => plural(count, 'jeton', 'jetons'), row: ['un', 'deux'] },
  })

  it('reads the language in use', () => {
    const read = (): unknown[] => [words.hello, words.tokens(0), words.tokens(1), words.tokens(1234), words.row]
    expect(inLanguage('en', read)).toEqual(['Hello', '0 tokens', '1 token', '1,234 tokens', ['one', 'two']])
    expect(inLanguage('fr', read)).toEqual(['Bonjour', '0 jeton', '1 jeton', '1\u202f234 jetons', ['un', 'deux']])
  })

  it('is held to English by the compiler', () => {
    // @ts-expect-error an entry lacks
    catalogue({ en: { a: 'one', b: 'two' }, fr: { a: 'un' } })
    // @ts-expect-error an entry is too many
    catalogue({ en: { a: 'one' }, fr: { a: 'un', b: 'deux' } })
    // @ts-expect-error a text stands for a function
    catalogue({ en: { a: (count: number) => `${count}` }, fr: { a: 'un' } })
    // @ts-expect-error a function asks for other values
    catalogue({ en: { a: (count: number) => `${count}` }, fr: { a: (name: string) => name } })
    // @ts-expect-error a row is shorter
    catalogue({ en: { a: ['one', 'two'] }, fr: { a: ['un'] } })
    // @ts-expect-error nobody knows this entry
    expect(words.goodbye).toBeUndefined()
  })
})

describe('numbers', () => {
  it('have the separators of their language', () => {
    expect([formatCount(20000), formatDecimal(12.34, 1), formatDecimal(3, 2)]).toEqual(['20,000', '12.3', '3.00'])
    expect(inLanguage('fr', () => [formatCount(20000), formatDecimal(12.34, 1), formatDecimal(3, 2)])).toEqual(['20\u202f000', '12,3', '3,00'])
  })
})
