import { spell } from '../document/spell'
import type { Token } from '../document/tree'
import type { Settings } from '../settings/settings'
import { completeOnce } from './client'
import { Failure } from './failure'
import { specialTokens } from './request'
import { SCORE_ALTERNATIVES } from './score'

/** More alternatives than are asked for while writing; a server may allow fewer. */
const MANY = 10
let alternatives = MANY

/** What the model thinks comes after a text. Null where it does not tell. Throws a Failure, or AbortError once `signal` aborts. */
export async function probe(settings: Settings, prompt: string, key: string, signal: AbortSignal, capabilities: readonly string[] | null): Promise<Token | null> {
  const ids = capabilities?.includes('return_token_ids') ? { return_token_ids: true as const } : {}
  try {
    const events = await completeOnce({ model: settings.model, prompt, max_tokens: 1, temperature: 0, logprobs: alternatives, ...specialTokens(settings, prompt), ...ids }, key, signal)
    const wire = events.flatMap((event) => (event.type === 'tokens' ? event.tokens : []))
    const text = events.map((event) => (event.type === 'text' ? event.text : '')).join('')
    return spell(text, wire)[0] ?? null
  } catch (error) {
    if (!(error instanceof Failure) || error.param !== 'logprobs' || alternatives !== MANY) throw error
    alternatives = SCORE_ALTERNATIVES
    return probe(settings, prompt, key, signal, capabilities)
  }
}
