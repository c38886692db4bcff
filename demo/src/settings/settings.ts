import { clamp, NUMBER_PARAMETERS, type NumberField } from './parameters'

/** Everything that shapes a request besides the text and the key. */
export interface Settings {
  model: string
  numbers: Record<NumberField, number | null>
  stop: string[]
  /** Appended to the text before the model continues it. */
  startText: string
  /** Appended after the model has finished. */
  restartText: string
  /** The API's own field: the text that the completion should lead to. */
  suffix: string
  /** Whether whitespace at the end of the text is dropped before generating. */
  stripsWhitespace: boolean
  /** Whether the tokenizer puts its special tokens around the text; a text from a chat template holds them itself. */
  addsSpecialTokens: boolean
  /** Whether the server repeats the prompt, with its probabilities. */
  echo: boolean
}

export function initialSettings(): Settings {
  const numbers = Object.fromEntries(NUMBER_PARAMETERS.map(({ field, initial }) => [field, initial]))
  return {
    model: '', numbers: numbers as Settings['numbers'], stop: [], startText: '', restartText: '', suffix: '', stripsWhitespace: false, addsSpecialTokens: true, echo: false,
  }
}

/** Settings out of something stored or imported: what is not usable falls back to where the page starts. */
export function readSettings(value: unknown): Settings {
  const settings = initialSettings()
  if (typeof value !== 'object' || value === null) return settings
  const stored = value as Partial<Record<keyof Settings, unknown>>
  for (const name of ['model', 'startText', 'restartText', 'suffix'] as const) {
    if (typeof stored[name] === 'string') settings[name] = stored[name]
  }
  for (const name of ['stripsWhitespace', 'addsSpecialTokens', 'echo'] as const) {
    if (typeof stored[name] === 'boolean') settings[name] = stored[name]
  }
  if (Array.isArray(stored.stop)) settings.stop = stored.stop.filter((stop): stop is string => typeof stop === 'string' && stop !== '')
  const numbers = (stored.numbers ?? {}) as Record<string, unknown>
  for (const parameter of NUMBER_PARAMETERS) {
    const number = numbers[parameter.field]
    if (typeof number === 'number' || (number === null && parameter.empty)) settings.numbers[parameter.field] = clamp(parameter, number)
  }
  return settings
}
