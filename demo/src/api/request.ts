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
  logprobs?: number
  echo?: true
  return_token_ids?: true
  stream?: true
  stream_options?: { include_usage: true }
}

/** The request as it is sent, byte for byte, in a form that can be read where it is shown. */
export function bodyOf(request: CompletionRequest): string {
  return JSON.stringify(request, null, 2)
}

/**
 * The request for a prompt: max_tokens always, every other field only where it differs from the API's default and the
 * model takes it. `capabilities` is null for a model that does not list any.
 */
export function buildRequest(settings: Settings, prompt: string, capabilities: readonly string[] | null): CompletionRequest {
  const numbers: Partial<Record<NumberField, number>> = {}
  let maxTokens = 16
  for (const parameter of NUMBER_PARAMETERS) {
    const value = clamp(parameter, settings.numbers[parameter.field])
    if (parameter.field === 'max_tokens') maxTokens = value ?? parameter.initial ?? maxTokens
    else if (value !== null && value !== parameter.apiDefault && isSupported(parameter.capability, capabilities)) numbers[parameter.field] = value
  }
  return {
    model: settings.model,
    prompt,
    max_tokens: maxTokens,
    ...numbers,
    ...(settings.stop.length > 0 ? { stop: [...settings.stop] } : {}),
    ...(settings.suffix !== '' && capabilities?.includes('suffix') ? { suffix: settings.suffix } : {}),
    stream: true,
    stream_options: { include_usage: true },
  }
}
