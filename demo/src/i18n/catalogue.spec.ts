/// <reference types="vite/client" />
import { afterEach, beforeEach, describe, expect, expectTypeOf, it, vi } from 'vitest'

import { takeWords } from '../../scripts/words-apart'
import type * as actions from './actions'
import { catalogue, formatCount, formatDecimal, setLanguage, type Language } from './catalogue'
import type * as chat from './chat'
import type * as code from './code'
import type * as compare from './compare'
import type * as failures from './failures'
import french from './fr.json'
import type * as help from './help'
import type * as page from './page'
import type * as presets from './presets'
import type * as sessions from './sessions'
import type * as settings from './settings'
import type * as share from './share'
import type * as tokens from './tokens'
import type * as tree from './tree'
import type * as usage from './usage'

type Words = Readonly<Record<string, unknown>>

type Areas = typeof actions & typeof chat & typeof code & typeof compare & typeof failures & typeof help & typeof page & typeof presets & typeof sessions & typeof settings & typeof share
  & typeof tokens & typeof tree & typeof usage

/** The names of the entries of each catalogue. */
type Names<All> = { -readonly [Name in keyof All as All[Name] extends (...values: never[]) => unknown ? never : Name]: `${Exclude<keyof All[Name], symbol>}` }

/** Every catalogue of the page: `area.NAME` to its words in the language in use. */
const CATALOGUES: readonly [string, Words][] = Object.entries(import.meta.glob<Words>('./*.ts', { eager: true }))
  .filter(([path]) => !path.includes('catalogue') && !path.includes('.spec'))
  .flatMap(([path, module]) => Object.entries(module).filter(([, words]) => typeof words === 'object').map(([name, words]): [string, Words] => [`${path.slice(2, -3)}.${name}`, words as Words]))

/** Entries that are the same words in both languages. Add yours: the list is short, and each is meant. */
const SAME_IN_BOTH: readonly string[] = [
  'chat.chatWords.assistant', 'tokens.tokens.tokens', 'tokens.tokens.token', 'tokens.tokens.overTokens',
  'sessions.sessionWords.session', 'presets.presetNames.classic', 'page.page.api', 'page.tabs.Tokens', 'page.tabs.Code',
  'settings.parameterLabels.top_p', 'settings.parameterLabels.top_k', 'settings.parameterLabels.min_p', 'settings.parameterLabels.logprobs',
]

beforeEach(() => { vi.stubGlobal('fetch', () => Promise.resolve(Response.json(french))) })
afterEach(() => setLanguage('en'))

async function inLanguage<T>(chosen: Language, read: () => T): Promise<T> {
  await setLanguage(chosen)
  return read()
}

/** What an entry comes to, read as it stands or filled with figures. */
function samples(entry: unknown): string[] {
  if (typeof entry === 'string') return [entry]
  const call = entry as (...values: number[]) => string
  return [0, 1, 2, 1234.5].map((value) => call(value, value, value, value, value))
}

/** Which of its values an entry shows. */
function placesIn(entry: unknown): string[] {
  if (typeof entry === 'string') return []
  const call = entry as (...values: string[]) => string
  return [...new Set(call('‹0›', '‹1›', '‹2›', '‹3›', '‹4›').match(/‹\d›/g))].sort()
}

describe('the catalogues', () => {
  it('are there in French by their names, and no others', () => {
    expect(Object.keys(french).sort()).toEqual(CATALOGUES.map(([name]) => name.replace(/.*\./, '')).sort())
    for (const [area, words] of CATALOGUES) expect(Object.keys(french[area.replace(/.*\./, '') as keyof typeof french]).sort(), area).toEqual(Object.keys(words).sort())
    expectTypeOf<Names<typeof french>>().toEqualTypeOf<Names<Areas>>()
  })

  describe.each(CATALOGUES)('%s', (area, words) => {
    it.each(Object.keys(words))('%s says something in both languages, and not the same', async (name) => {
      const english = await inLanguage('en', () => samples(words[name]))
      const translated = await inLanguage('fr', () => samples(words[name]))
      for (const text of [...english, ...translated]) {
        expect(text).toEqual(expect.any(String))
        expect(text).not.toMatch(/undefined|NaN|\[object|^\s*$/)
      }
      expect(await inLanguage('fr', () => placesIn(words[name]))).toEqual(await inLanguage('en', () => placesIn(words[name])))
      expect([...english, ...translated].filter((text) => /[{}|]/.test(text))).toEqual([])
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

describe('takeWords', () => {
  const sources = import.meta.glob<string>('./*.ts', { eager: true, query: '?raw', import: 'default' })

  it.each(CATALOGUES)('takes all words of %s out of its module, and leaves the rest', async (area, words) => {
    const [module = '', name = ''] = area.split('.')
    const { words: taken, code } = takeWords(sources[`./${module}.ts`] ?? '')
    await inLanguage('en', () => {
      for (const [entry, text] of Object.entries(taken[name] ?? {})) expect(text.includes('{') ? typeof words[entry] : words[entry]).toBe(text.includes('{') ? 'function' : text)
    })
    expect(Object.keys(taken[name] ?? {}).sort()).toEqual(Object.keys(words).sort())
    expect(code).toContain(`catalogue('${name}')`)
  })

  it('refuses what is no text: it would be lost', () => {
    expect(() => takeWords("catalogue('words', { now: String(Date.now()) })")).toThrow('texts alone')
    expect(() => takeWords("catalogue('words', english)")).toThrow('object of texts')
  })
})

describe('catalogue', () => {
  const words = catalogue('words', { hello: 'Hello', tokens: '{0|token|tokens}', of: '{0} of {1|model|models}, {0}', named: 'Is {0} here?' })

  it('reads its English words where there are no others', async () => {
    const read = (): unknown[] => [words.hello, words.tokens(0), words.tokens(1), words.tokens(1234), words.of(2, 1), words.named('a|{1}')]
    expect(await inLanguage('en', read)).toEqual(['Hello', '0 tokens', '1 token', '1,234 tokens', '2 of 1 model, 2', 'Is a|{1} here?'])
    expect((await inLanguage('fr', read)).slice(1, 4)).toEqual(['0 token', '1 token', '1\u202f234 tokens'])
  })

  it('is held to its places by the compiler', () => {
    expectTypeOf(words.hello).toEqualTypeOf<string>()
    expectTypeOf(words.named).parameters.toEqualTypeOf<[string | number]>()
    expectTypeOf(words.of).parameters.toEqualTypeOf<[string | number, string | number]>()
    // @ts-expect-error nobody knows this entry
    expect(words.goodbye).toBeUndefined()
  })

  it('stays as it is where the words cannot be fetched', async () => {
    vi.stubGlobal('fetch', () => Promise.resolve(new Response('', { status: 404 })))
    await expect(setLanguage('fr')).rejects.toThrow('HTTP 404')
    expect([words.tokens(0), formatCount(1234)]).toEqual(['0 tokens', '1,234'])
  })
})

describe('numbers', () => {
  it('have the separators of their language', async () => {
    expect([formatCount(20000), formatDecimal(12.34, 1), formatDecimal(3, 2)]).toEqual(['20,000', '12.3', '3.00'])
    expect(await inLanguage('fr', () => [formatCount(20000), formatDecimal(12.34, 1), formatDecimal(3, 2)])).toEqual(['20\u202f000', '12,3', '3,00'])
  })
})
