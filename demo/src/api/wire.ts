import { failures } from '../i18n/failures'

/**
 * What comes over the wire, read defensively: a server that speaks OpenAI's protocol may leave out anything
 * that is not essential, and nothing here trusts a type it has not looked at.
 */

import type { Alternative } from '../document/tree'

export type ModelStatus = 'available' | 'loading' | 'ready' | 'error' | 'unknown'

/** How far a model's files have been fetched. */
export interface Download {
  doneBytes: number
  totalBytes: number
  bytesPerS: number
  /** Null while nothing comes. */
  remainingS: number | null
}

export interface Model {
  id: string
  description: string
  status: ModelStatus
  /** Why the status is what it is, in the server's words; often empty. */
  statusMessage: string
  /** Null unless its files are being fetched, by a server that says how far it is. */
  download: Download | null
  /** Longest prompt plus completion, in tokens; null when the server does not say. */
  maxModelLen: number | null
  /** Request fields and endpoints beyond OpenAI's basics; null when the server does not say. */
  capabilities: readonly string[] | null
}

export interface Usage {
  promptTokens: number
  completionTokens: number
}

/** A token as the server writes it: `bytes:\xe2` where it is only part of a character. */
export interface WireToken {
  text: string
  /** Null where the server gives no ids. */
  id: number | null
  /** Null for the first token of an echoed prompt. */
  logprob: number | null
  /** The likeliest tokens in its place, the likeliest first. */
  top: Alternative[]
}

/** One thing that happened in an answer, streamed or not. */
export type CompletionEvent =
  | { type: 'promptIds'; index: number; ids: number[] }
  | { type: 'text'; index: number; text: string }
  | { type: 'tokens'; index: number; tokens: WireToken[] }
  | { type: 'finish'; index: number; reason: string }
  | { type: 'usage'; usage: Usage }
  /** How many turns it is until the request's own; 1 is the next. */
  | { type: 'queue'; place: number }

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

function readDownload(value: unknown): Download | null {
  if (!isObject(value)) return null
  const { downloaded_bytes: doneBytes, total_bytes: totalBytes, bytes_per_second: bytesPerS, remaining_seconds: remainingS } = value
  if (typeof doneBytes !== 'number' || typeof totalBytes !== 'number' || totalBytes <= 0) return null
  return { doneBytes: Math.min(doneBytes, totalBytes), totalBytes, bytesPerS: numberOrNull(bytesPerS) ?? 0, remainingS: numberOrNull(remainingS) }
}

function readModel(value: unknown): Model | null {
  if (!isObject(value) || typeof value.id !== 'string') return null
  const { status, capabilities, max_model_len: length } = value
  return {
    id: value.id,
    description: textOrNull(value.description) ?? '',
    status: typeof status === 'string' && STATUSES.includes(status) ? (status as ModelStatus) : 'unknown',
    statusMessage: textOrNull(value.status_message) ?? '',
    download: readDownload(value.progress),
    maxModelLen: typeof length === 'number' && length > 0 ? length : null,
    capabilities: Array.isArray(capabilities) ? capabilities.filter((name) => typeof name === 'string') : null,
  }
}

/** The models of a `GET /v1/models` answer that write text, in the server's order; others make embeddings. */
export function readModels(value: unknown): Model[] {
  const data = isObject(value) && Array.isArray(value.data) ? value.data : []
  const models = data.map(readModel).filter((model) => model !== null)
  return models.filter((model) => !model.capabilities?.includes('embeddings'))
}

function readUsage(value: unknown): Usage | null {
  if (!isObject(value) || typeof value.completion_tokens !== 'number') return null
  const prompt = typeof value.prompt_tokens === 'number' ? value.prompt_tokens : 0
  return { promptTokens: prompt, completionTokens: value.completion_tokens }
}

function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' ? value : null
}

function readIds(value: unknown): number[] | null {
  return Array.isArray(value) && value.every((id) => typeof id === 'number') ? value : null
}

/** An object's order puts keys that look like integers first, so that only the probabilities can order the alternatives. */
function readTop(logprobs: unknown, ids: unknown): Alternative[] {
  if (!isObject(logprobs)) return []
  return Object.entries(logprobs)
    .filter((entry): entry is [string, number] => typeof entry[1] === 'number')
    .map(([text, logprob]) => ({ text, logprob, id: isObject(ids) && Object.hasOwn(ids, text) ? numberOrNull(ids[text]) : null }))
    .sort((one, other) => other.logprob - one.logprob)
}

/** The tokens of a choice's `logprobs`, with ids where the lists are as long as they should be. */
function readTokens(logprobs: unknown, ids: number[] | null): WireToken[] {
  if (!isObject(logprobs) || !Array.isArray(logprobs.tokens)) return []
  const { tokens, token_logprobs: own, top_logprobs: tops, top_token_ids: topIds } = logprobs
  const at = (list: unknown, index: number): unknown => (Array.isArray(list) ? list[index] : null)
  return tokens.map((text: unknown, index) => ({
    text: typeof text === 'string' ? text : '',
    id: ids?.length === tokens.length ? (ids[index] ?? null) : null,
    logprob: numberOrNull(at(own, index)),
    top: readTop(at(tops, index), at(topIds, index)),
  }))
}

function readChoice(choice: Json): CompletionEvent[] {
  const index = numberOrNull(choice.index) ?? 0
  const events: CompletionEvent[] = []
  const promptIds = readIds(choice.prompt_token_ids)
  const tokens = readTokens(choice.logprobs, readIds(choice.token_ids))
  if (promptIds) events.push({ type: 'promptIds', index, ids: promptIds })
  if (typeof choice.text === 'string' && choice.text !== '') events.push({ type: 'text', index, text: choice.text })
  if (tokens.length > 0) events.push({ type: 'tokens', index, tokens })
  if (typeof choice.finish_reason === 'string') events.push({ type: 'finish', index, reason: choice.finish_reason })
  return events
}

/** The events in one completion object: a whole answer or one chunk of a stream. `choices: []` is fine. */
export function readCompletion(value: unknown): CompletionEvent[] {
  if (!isObject(value)) return []
  const events = (Array.isArray(value.choices) ? value.choices : []).filter(isObject).flatMap(readChoice)
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
  return { message: textOrNull(error.message) ?? failures.noReasonAtAll, param: textOrNull(error.param), code }
}
