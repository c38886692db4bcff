import type { NumberField } from './parameters'
import { initialSettings, type Settings } from './settings'

/** A way to start: a text, and the settings that suit it. The model stays as it is. */
export interface Preset {
  name: string
  text: string
  settings: Settings
}

const QUESTIONS = `Q: How many days are there in a week?
A: There are seven days in a week.

Q: Which planet do people live on?
A: People live on the planet Earth.

Q: What is the capital of Italy?
A: The capital of Italy is Rome.

Q: Who wrote Romeo and Juliet?
A: William Shakespeare wrote Romeo and Juliet.

Q: What is two plus two?
A: Two plus two is four.

Q: What colour is the sky on a clear day?
A: The sky is blue on a clear day.

Q: What is the capital of France?
A:`

function preset(name: string, text: string, numbers: Partial<Record<NumberField, number>>, rest: Partial<Settings> = {}): Preset {
  const settings = initialSettings()
  return { name, text, settings: { ...settings, ...rest, numbers: { ...settings.numbers, ...numbers } } }
}

export const PRESETS: readonly Preset[] = [
  preset('Classic Sandle', QUESTIONS, { max_tokens: 20 }, { stop: ['\n'], restartText: '\n\nQ:' }),
  preset('Story', 'Once upon a time, there was', { max_tokens: 200, temperature: 0.8, top_p: 0.95 }),
  preset('Most likely words', 'The days of the week are Monday, Tuesday,', { max_tokens: 32, temperature: 0 }),
  preset('Blank page', '', {}),
]
