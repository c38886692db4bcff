import { clamp, isSupported, NUMBER_PARAMETERS, type NumberField } from '../settings/parameters'
import type { Settings } from '../settings/settings'

/** What this page sends to `POST /v1/completions`. */
export interface CompletionRequest extends Partial<Record<NumberField, number>> {
  model: string
  /** A text, or the ids of its tokens. */
  prompt: string | number[]
  max_tokens: number
  stop?: string[]
  suffix?: string
  echo?: true
  add_special_tokens?: false
  return_token_ids?: true
  stream?: true
  stream_options?: { include_usage: true }
}

/** What this page sends to `POST /v1/chat/completions/render`. */
export interface RenderRequest {
  model: string
  messages: { role: string; content: string }[]
  add_generation_prompt: boolean
  continue_final_message: boolean
}

/** The request as it is sent, byte for byte, in a form that can be read where it is shown. */
export function bodyOf(request: CompletionRequest): string {
  return JSON.stringify(request, null, 2)
}

/** For a text that holds its special tokens itself, as a chat template's does; ids are never added to. */
export function specialTokens({ addsSpecialTokens }: Settings, prompt: CompletionRequest['prompt']): Pick<CompletionRequest, 'add_special_tokens'> {
  return addsSpecialTokens || typeof prompt !== 'string' ? {} : { add_special_tokens: false }
}

/**
 * The request for a prompt: max_tokens always, every other field only where it differs from the API's default and the
 * model takes it. `capabilities` is null for a model that does not list any. Ids are never echoed: their text is known.
 */
export function buildRequest(settings: Settings, prompt: string | number[], capabilities: readonly string[] | null): CompletionRequest {
  const numbers: Partial<Record<NumberField, number>> = {}
  let maxTokens = 16
  for (const parameter of NUMBER_PARAMETERS) {
    const value = clamp(parameter, settings.numbers[parameter.field])
    if (parameter.field === 'max_tokens') maxTokens = value ?? parameter.initial ?? maxTokens
    else if (value !== null && value !== parameter.apiDefault && isSupported(parameter.capability, capabilities)) numbers[parameter.field] = value
  }
  const has = (capability: string): boolean => capabilities?.includes(capability) ?? false
  const suffix = has('suffix') ? settings.suffix : ''
  return {
    model: settings.model,
    prompt,
    max_tokens: maxTokens,
    ...numbers,
    ...(settings.stop.length > 0 ? { stop: [...settings.stop] } : {}),
    ...(suffix !== '' ? { suffix } : {}),
    ...(settings.echo && has('echo') && suffix === '' && typeof prompt === 'string' ? { echo: true } : {}),
    ...specialTokens(settings, prompt),
    ...(numbers.logprobs !== undefined && has('return_token_ids') ? { return_token_ids: true } : {}),
    stream: true,
    stream_options: { include_usage: true },
  }
}
