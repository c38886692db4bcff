/**
 * The words of the page in its languages. Each area of the page has its English catalogues in this folder; the build moves their words
 * into the page itself (scripts/words-apart.ts). Every other language is one JSON file beside them, which a translator can write,
 * fetched when it is chosen. English decides which entries there are; catalogue.spec.ts, by the compiler and by its tests, holds every
 * other language to it.
 */
import { effect, signal } from '@preact/signals-core'

import { fetchAsset } from '../api/asset'
import { keep, readKept } from '../storage/kept'
import french from './fr.json?url'

export type Language = 'en' | 'fr'

/** Each language by its own name, so that those who read only that one find it. */
export const LANGUAGES: Readonly<Record<Language, string>> = { en: 'English', fr: 'Français' }

/** The words of a language, by the name of their catalogue. */
type Words = Readonly<Record<string, Readonly<Record<string, string>>>>

/** Where the languages lie that the page is not built with. */
const FETCHED: Readonly<Record<Exclude<Language, 'en'>, string>> = { fr: french }

const STORAGE_KEY = 'sandle.language'

/** The chosen language, else the first one of the browser's that the page speaks, else English. */
export function initialLanguage(): Language {
  const wanted = [readKept('device', STORAGE_KEY), ...navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase())]
  return wanted.find((tag): tag is Language => tag !== null && Object.hasOwn(LANGUAGES, tag)) ?? 'en'
}

/** The language in use; reading it makes what is read follow a change. */
export const language = signal<Language>('en')

/** Its words; empty for English. */
const translation = signal<Words>({})

/** The English words that came with the built page; empty where they still stand in the catalogues. */
let builtIn: Words = {}

/** Called once, by the page, before the first word is shown. */
export function readBuiltIn(): void {
  builtIn = JSON.parse(document.getElementById('words')?.textContent ?? '{}') as Words // written by this build
}

/** Keeps the document's `lang` in step; called once, by the page. */
export function followLanguage(): void {
  effect(() => { document.documentElement.lang = language.value })
}

/** Brings a language into use. Throws where its words cannot be fetched; then the one in use stays. */
export async function setLanguage(chosen: Language): Promise<void> {
  translation.value = chosen === 'en' ? {} : await fetchAsset(FETCHED[chosen]) as Words // a file of this build
  language.value = chosen
}

/** The same for good: the page opens in it the next time. */
export async function chooseLanguage(chosen: Language): Promise<void> {
  await setLanguage(chosen)
  keep('device', STORAGE_KEY, chosen)
}

/** What an entry's places can be filled with: a name as it is, a figure with the separators of the language in use. */
type Value = string | number

/** One value for each place that a text has, `{0}`, `{1}` and so on. */
type Values<Text extends string, Found extends Value[] = []> = Text extends `${string}{${Found['length']}${'}' | '|'}${string}` ? Values<Text, [...Found, Value]> : Found

/** How an entry is read: a text, or a function of what goes into its places. */
type Reading<Text extends string> = Values<Text> extends [] ? string : (...values: Values<Text>) => string

export type Catalogue<English> = { readonly [Name in keyof English]: English[Name] extends string ? Reading<English[Name]> : never }

/**
 * Makes a catalogue of English words; what it returns reads the entries of the language in use: `const t = catalogue('t', {…})`, then
 * `t.generate` or `t.branchOf(2, 4)`. Another language has its words under the same name.
 *
 * In a text `{0}` is the first value, and `{0|token|tokens}` a count with its noun in the right number: "1 token".
 */
export function catalogue<const English extends Readonly<Record<string, string>>>(name: string, english?: English): Catalogue<English> {
  const read = (_: object, entry: string): unknown => {
    const text = (translation.value[name] ?? builtIn[name] ?? english)?.[entry]
    return text?.includes('{') ? (...values: Value[]) => fill(text, values) : text
  }
  return new Proxy((english ?? {}) as object, { get: read as ProxyHandler<object>['get'] }) as Catalogue<English>
}

function fill(text: string, values: readonly Value[]): string {
  return text.replace(/\{(\d)(?:\|([^|]*)\|([^}]*))?\}/g, (_, place: string, one?: string, other?: string) => {
    const value = values[Number(place)] ?? ''
    const shown = typeof value === 'number' ? formatCount(value) : value
    if (one === undefined) return shown
    return `${shown} ${PLURALS[language.value].select(Number(value)) === 'one' ? one : other}`
  })
}

const PLURALS: Readonly<Record<Language, Intl.PluralRules>> = { en: new Intl.PluralRules('en'), fr: new Intl.PluralRules('fr') }

const formats = new Map<string, Intl.NumberFormat>()

/** A number with the separators of the language in use and exactly so many decimals. */
export function formatDecimal(value: number, digits: number): string {
  const name = `${language.value}${digits}`
  let format = formats.get(name)
  if (!format) formats.set(name, format = new Intl.NumberFormat(language.value, { minimumFractionDigits: digits, maximumFractionDigits: digits }))
  return format.format(value)
}

/** A whole number with the separators of the language in use. */
export function formatCount(value: number): string {
  return formatDecimal(value, 0)
}
