import { spell } from '../document/spell'
import type { Token } from '../document/tree'
import { completeOnce } from './client'
import { Failure } from './failure'
import type { CompletionRequest } from './request'
import type { WireToken } from './wire'

/** A text with what the model thought of each of its tokens. */
export interface Scored {
  /** The text as the server echoes it. */
  text: string
  /** Concatenate to the text; empty where the server's tokens do not. */
  tokens: Token[]
  promptTokens: number
}

/** How many alternatives a token is scored with: what every server allows. */
export const SCORE_ALTERNATIVES = 5

/**
 * Scores a text, or the ids of one, without writing anything. For a model whose capabilities hold `echo` and `logprobs`.
 * Throws a Failure, or AbortError once `signal` aborts.
 */
export async function score(
  model: string, prompt: string | number[], key: string, signal: AbortSignal, capabilities: readonly string[] | null,
  special: Pick<CompletionRequest, 'add_special_tokens'> = {},
): Promise<Scored> {
  const events = await completeOnce({
    model, prompt, max_tokens: 0, echo: true, logprobs: SCORE_ALTERNATIVES, ...special,
    ...(capabilities?.includes('return_token_ids') ? { return_token_ids: true } : {}),
  }, key, signal)
  let text = ''
  let promptTokens: number | null = null
  const wire: WireToken[] = []
  for (const event of events) {
    if (event.type === 'text') text += event.text
    else if (event.type === 'tokens') wire.push(...event.tokens)
    else if (event.type === 'usage') promptTokens = event.usage.promptTokens
  }
  if (wire.length === 0 && text !== '') throw new Failure('malformed', 'The server gave no probabilities.', { status: 200 })
  return { text, tokens: spell(text, wire), promptTokens: promptTokens ?? wire.length }
}
