import type { NumberField } from './parameters'
import { initialSettings, type Settings } from './settings'

/** A way to start: a text, and the settings that suit it. The model stays as it is. */
export interface Preset {
  text: string
  settings: Settings
}

/** The page's own; their names stand in i18n/presets.ts. */
export type PresetId = 'classic' | 'story' | 'likely' | 'classify' | 'translate' | 'blank'

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

const REVIEWS = `Review: The food was wonderful.
Sentiment: Positive

Review: I want my money back.
Sentiment: Negative

Review: The music was lovely!
Sentiment: Positive

Review: The hotel was awful.
Sentiment:`

const WORDS = `English: cat
French: chat

English: dog
French: chien

English: house
French: maison

English: water
French:`

function preset(text: string, numbers: Partial<Record<NumberField, number>>, rest: Partial<Settings> = {}): Preset {
  const settings = initialSettings()
  return { text, settings: { ...settings, ...rest, numbers: { ...settings.numbers, ...numbers } } }
}

export const PRESETS: Readonly<Record<PresetId, Preset>> = {
  classic: preset(QUESTIONS, { max_tokens: 20 }, { stop: ['\n'], restartText: '\n\nQ:' }),
  story: preset('Once upon a time, there was', { max_tokens: 200, temperature: 0.8, top_p: 0.95 }),
  likely: preset('The days of the week are Monday, Tuesday,', { max_tokens: 32, temperature: 0 }),
  classify: preset(REVIEWS, { max_tokens: 4, temperature: 0 }, { stop: ['\n'], restartText: '\n\nReview:' }),
  translate: preset(WORDS, { max_tokens: 16, temperature: 0 }, { stop: ['\n'], restartText: '\n\nEnglish:' }),
  blank: preset('', {}),
}

/** Whether the page is still as the preset left it, the model aside. */
export function isAs({ text, settings: { model: _, ...theirs } }: Preset, now: Preset): boolean {
  const { model: __, ...mine } = now.settings
  return text === now.text && JSON.stringify(theirs) === JSON.stringify(mine)
}
