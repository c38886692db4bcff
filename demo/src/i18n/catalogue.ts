/**
 * The words of the page in its languages. Each area of the page has a catalogue of its own in this folder; English decides which
 * entries there are, and the compiler holds every other language to them.
 */
import { shallowRef, watchEffect } from 'vue'

export type Language = 'en' | 'fr'

export const LANGUAGES: Readonly<Record<Language, string>> = { en: 'English', fr: 'Français' }

const STORAGE_KEY = 'sandle.language'

/** The chosen language, else the first one of the browser's that the page speaks, else English. */
function initialLanguage(): Language {
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
export const language = shallowRef<Language>(typeof navigator === 'undefined' ? 'en' : initialLanguage())

/** Keeps the document's `lang` and the stored choice in step; called once, by the page. */
export function followLanguage(): void {
  watchEffect(() => { document.documentElement.lang = language.value })
}

export function chooseLanguage(chosen: Language): void {
  language.value = chosen
  try {
    localStorage.setItem(STORAGE_KEY, chosen)
  } catch {
    // It holds until the page is left.
  }
}

/** An entry is a text, or a function from figures and names to one. */
type Entries = Readonly<Record<string, string | readonly string[] | ((...values: never[]) => string)>>

/** The same entries in another language: a text for a text, a function for a function. */
type Translation<English extends Entries> = { readonly [Name in keyof English]: English[Name] extends string ? string : English[Name] }

/** Makes a catalogue; what it returns reads the entries of the language in use: `const t = catalogue({ en: {…}, fr: {…} })`, then `t.generate`. */
export function catalogue<const English extends Entries>(words: { en: English; fr: Translation<English> }): Translation<English> {
  return new Proxy(words.en as Translation<English>, { get: (_, name: string) => Reflect.get(words[language.value], name) as unknown })
}

const NUMBER_FORMATS: Readonly<Record<Language, Intl.NumberFormat>> = { en: new Intl.NumberFormat('en'), fr: new Intl.NumberFormat('fr') }

/** A whole number with the separators of the language in use. */
export function formatCount(value: number): string {
  return NUMBER_FORMATS[language.value].format(value)
}
