/** The numbers a user can set, in one table: the panel, the clamp and the request all read it. Their names stand in i18n/settings.ts. */

export type NumberField =
  | 'max_tokens' | 'temperature' | 'top_p' | 'top_k' | 'min_p'
  | 'presence_penalty' | 'frequency_penalty' | 'repetition_penalty' | 'seed' | 'n' | 'logprobs'

export interface NumberParameter {
  field: NumberField
  group: 'basic' | 'sampling' | 'penalties'
  min: number
  max: number
  /** Upper end of the slider, where the range worth sliding over is shorter than what is allowed; no slider when null. */
  sliderMax: number | null
  step: number
  isInteger: boolean
  /** What the API does when the field is left out. A value that differs from it is sent. */
  apiDefault: number | null
  /** Where the page starts; null stands for an empty box. */
  initial: number | null
  /** What an empty box means, where the box may be empty. */
  empty?: 'random' | 'off'
  /** The name in a model's `capabilities` that this field needs; basics need none. */
  capability: string | null
}

export const NUMBER_PARAMETERS: readonly NumberParameter[] = [
  { field: 'max_tokens', group: 'basic',
    min: 1, max: 1_000_000, sliderMax: 1024, step: 1, isInteger: true, apiDefault: null, initial: 128, capability: null },
  { field: 'temperature', group: 'basic',
    min: 0, max: 2, sliderMax: 2, step: 0.05, isInteger: false, apiDefault: 1, initial: 0.7, capability: null },
  { field: 'top_p', group: 'basic',
    min: 0, max: 1, sliderMax: 1, step: 0.01, isInteger: false, apiDefault: 1, initial: 1, capability: null },
  { field: 'top_k', group: 'sampling',
    min: 0, max: 1_000_000, sliderMax: 200, step: 1, isInteger: true, apiDefault: 0, initial: 0, capability: 'top_k' },
  { field: 'min_p', group: 'sampling',
    min: 0, max: 1, sliderMax: 1, step: 0.01, isInteger: false, apiDefault: 0, initial: 0, capability: 'min_p' },
  { field: 'seed', group: 'sampling',
    min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER, sliderMax: null, step: 1, isInteger: true, apiDefault: null, initial: null,
    empty: 'random', capability: 'seed' },
  { field: 'n', group: 'sampling',
    min: 1, max: 8, sliderMax: 8, step: 1, isInteger: true, apiDefault: 1, initial: 1, capability: 'n' },
  { field: 'logprobs', group: 'sampling',
    min: 0, max: 5, sliderMax: 5, step: 1, isInteger: true, apiDefault: null, initial: 5, empty: 'off', capability: 'logprobs' },
  { field: 'presence_penalty', group: 'penalties',
    min: -2, max: 2, sliderMax: 2, step: 0.05, isInteger: false, apiDefault: 0, initial: 0, capability: 'presence_penalty' },
  { field: 'frequency_penalty', group: 'penalties',
    min: -2, max: 2, sliderMax: 2, step: 0.05, isInteger: false, apiDefault: 0, initial: 0, capability: 'frequency_penalty' },
  { field: 'repetition_penalty', group: 'penalties',
    min: 0.01, max: 10, sliderMax: 2, step: 0.01, isInteger: false, apiDefault: 1, initial: 1, capability: 'repetition_penalty' },
]

/** What OpenAI's own API knows: assumed of a model that does not list its capabilities. */
const OPENAI_CAPABILITIES: readonly string[] = ['n', 'seed', 'presence_penalty', 'frequency_penalty']

/** Whether a model takes a field; `capabilities` is null for a model that does not say. */
export function isSupported(capability: string | null, capabilities: readonly string[] | null): boolean {
  return capability === null || (capabilities ?? OPENAI_CAPABILITIES).includes(capability)
}

/** The nearest value that the parameter allows; null stays null. */
export function clamp(parameter: NumberParameter, value: number | null): number | null {
  if (value === null || Number.isNaN(value)) return null
  const bounded = Math.min(parameter.max, Math.max(parameter.min, value))
  return parameter.isInteger ? Math.round(bounded) : bounded
}
