/**
 * What comes over the wire, read defensively: a server that speaks OpenAI's protocol may leave out anything
 * that is not essential, and nothing here trusts a type it has not looked at.
 */

export type ModelStatus = 'available' | 'loading' | 'ready' | 'error' | 'unknown'

export interface Model {
  id: string
  description: string
  status: ModelStatus
  /** Why the status is what it is, in the server's words; often empty. */
  statusMessage: string
  /** Longest prompt plus completion, in tokens; null when the server does not say. */
  maxModelLen: number | null
  /** Request fields and endpoints beyond OpenAI's basics; null when the server does not say. */
  capabilities: readonly string[] | null
}

export interface Usage {
  promptTokens: number
  completionTokens: number
}

/** One thing that happened in an answer, streamed or not. */
export type CompletionEvent =
  | { type: 'text'; index: number; text: string }
  | { type: 'finish'; index: number; reason: string }
  | { type: 'usage'; usage: Usage }

export interface WireError {
  message: string
  param: string | null
  code: string | null
}

type Json = Record<string, unknown>

const STATUSES: readonly string[] = ['available', 'loading', 'ready', 'error']

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function readModel(value: unknown): Model | null {
  if (!isObject(value) || typeof value.id !== 'string') return null
  const { status, capabilities, max_model_len: length } = value
  return {
    id: value.id,
    description: textOrNull(value.description) ?? '',
    status: typeof status === 'string' && STATUSES.includes(status) ? (status as ModelStatus) : 'unknown',
    statusMessage: textOrNull(value.status_message) ?? '',
    maxModelLen: typeof length === 'number' && length > 0 ? length : null,
    capabilities: Array.isArray(capabilities) ? capabilities.filter((name) => typeof name === 'string') : null,
  }
}

/** The models of a `GET /v1/models` answer, in the server's order. */
export function readModels(value: unknown): Model[] {
  const data = isObject(value) && Array.isArray(value.data) ? value.data : []
  return data.map(readModel).filter((model) => model !== null)
}

function readUsage(value: unknown): Usage | null {
  if (!isObject(value) || typeof value.completion_tokens !== 'number') return null
  const prompt = typeof value.prompt_tokens === 'number' ? value.prompt_tokens : 0
  return { promptTokens: prompt, completionTokens: value.completion_tokens }
}

/** The events in one completion object: a whole answer or one chunk of a stream. `choices: []` is fine. */
export function readCompletion(value: unknown): CompletionEvent[] {
  if (!isObject(value)) return []
  const events: CompletionEvent[] = []
  for (const choice of Array.isArray(value.choices) ? value.choices : []) {
    if (!isObject(choice)) continue
    const index = typeof choice.index === 'number' ? choice.index : 0
    if (typeof choice.text === 'string' && choice.text !== '') events.push({ type: 'text', index, text: choice.text })
    if (typeof choice.finish_reason === 'string') events.push({ type: 'finish', index, reason: choice.finish_reason })
  }
  const usage = readUsage(value.usage)
  if (usage) events.push({ type: 'usage', usage })
  return events
}

/** The error in `{"error": {...}}`, also in the looser shapes other servers use; null when there is none. */
export function readError(value: unknown): WireError | null {
  if (!isObject(value) || value.error === undefined || value.error === null) return null
  const { error } = value
  if (typeof error === 'string') return { message: error, param: null, code: null }
  if (!isObject(error)) return null
  const code = typeof error.code === 'number' ? String(error.code) : textOrNull(error.code)
  return { message: textOrNull(error.message) ?? 'The server gave no reason.', param: textOrNull(error.param), code }
}
