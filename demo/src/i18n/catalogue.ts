/**
 * The words of the page in its languages. Each area of the page has its English catalogues in this folder, and the page is built with
 * them; another language has a folder of its own and is fetched when it is chosen. English decides which entries there are, and the
 * compiler holds every other language to them: none may lack, none may be more.
 */
import { shallowRef, watchEffect } from 'vue'

export type Language = 'en' | 'fr'

/** Each language by its own name, so that those who read only that one find it. */
export const LANGUAGES: Readonly<Record<Language, string>> = { en: 'English', fr: 'Français' }

/** The words of a language, by the name of their catalogue. */
type Words = Readonly<Record<string, object>>

const FETCHED: Readonly<Record<Exclude<Language, 'en'>, () => Promise<Words>>> = { fr: () => import('./fr') }

const STORAGE_KEY = 'sandle.language'

/** The chosen language, else the first one of the browser's that the page speaks, else English. */
export function initialLanguage(): Language {
  let stored: string | null = null
  try {
    stored = localStorage.getItem(STORAGE_KEY)
  } catch {
    // Storage is forbidden here: the browser's languages decide.
  }
  const wanted = [stored, ...navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase())]
  return wanted.find((tag): tag is Language => tag !== null && Object.hasOwn(LANGUAGES, tag)) ?? 'en'
}

/** The language in use; reading it makes what is read follow a change. */
export const language = shallowRef<Language>('en')

/** Its words; empty for English, whose words stand in the catalogues. */
const translation = shallowRef<Words>({})

/** Keeps the document's `lang` in step; called once, by the page. */
export function followLanguage(): void {
  watchEffect(() => { document.documentElement.lang = language.value })
}

/** Brings a language into use. Throws where its words cannot be fetched; then the one in use stays. */
export async function useLanguage(chosen: Language): Promise<void> {
  translation.value = chosen === 'en' ? {} : await FETCHED[chosen]()
  language.value = chosen
}

/** The same for good: the page opens in it the next time. */
export async function chooseLanguage(chosen: Language): Promise<void> {
  await useLanguage(chosen)
  try {
    localStorage.setItem(STORAGE_KEY, chosen)
  } catch {
    // It holds until the page is left.
  }
}

/** An entry is a text, a row of texts, or a function from figures and names to a text. */
type Entry = string | readonly string[] | ((...values: never[]) => string)

/** The same in another language: a text for a text, as many for a row, a function of the same values for a function. */
type Translated<English extends Entry> =
  English extends string ? string
    : English extends readonly string[] ? { readonly [At in keyof English]: string }
      : English extends (...values: infer Values) => string ? (...values: Values) => string : never

export type Translation<English> = { readonly [Name in keyof English]: English[Name] extends Entry ? Translated<English[Name]> : never }

/**
 * Makes a catalogue of English words; what it returns reads the entries of the language in use: `const t = catalogue('t', {…})`, then
 * `t.generate`. Another language has its words under the same name.
 */
export function catalogue<const English extends Readonly<Record<string, Entry>>>(name: string, english: English): Translation<English> {
  return new Proxy(english as object, { get: (_, entry) => Reflect.get(translation.value[name] ?? english, entry) as unknown }) as Translation<English>
}

const PLURALS: Readonly<Record<Language, Intl.PluralRules>> = { en: new Intl.PluralRules('en'), fr: new Intl.PluralRules('fr') }

/** A count and its noun in the right number: "1 token", "0 tokens"; in French "0 token". */
export function plural(count: number, one: string, other: string): string {
  return `${formatCount(count)} ${PLURALS[language.value].select(count) === 'one' ? one : other}`
}

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
