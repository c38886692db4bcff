import { failures } from '../i18n/failures'
import { Failure, readRetryAfter } from './failure'
import { bodyOf, type CompletionRequest, type RenderRequest } from './request'
import { interrupted, readStream } from './stream'
import { isObject, readCompletion, readError, readModels, type CompletionEvent, type Model } from './wire'

/**
 * All that is asked of the API. Every failure leaves it as a Failure; an abort leaves it as the browser's AbortError.
 * The key travels in the Authorization header and nowhere else.
 */

function headers(key: string, extra: Record<string, string> = {}): Headers {
  const result = new Headers({ Accept: 'application/json', ...extra })
  if (key === '') return result
  try {
    result.set('Authorization', `Bearer ${key}`)
  } catch {
    throw new Failure('http', failures.badKey, { status: 401 })
  }
  return result
}

function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError'
}

async function send(path: string, init: RequestInit): Promise<Response> {
  let response: Response
  try {
    response = await fetch(path, { ...init, credentials: 'omit', cache: 'no-store', redirect: 'error' })
  } catch (error) {
    if (isAbort(error)) throw error
    throw new Failure('offline', failures.offline)
  }
  if (!response.ok) throw await refusal(response)
  return response
}

/** The server's refusal in its own words, whatever shape they come in. */
async function refusal(response: Response): Promise<Failure> {
  const body = await response.text().catch(() => '')
  const wire = readError(parseJson(body))
  return new Failure('http', wire?.message ?? failures.noReason(response.status), {
    status: response.status,
    requestId: response.headers.get('x-request-id'),
    retryAfterS: readRetryAfter(response.headers.get('retry-after'), Date.now()),
    wire,
  })
}

async function readText(response: Response, requestId: string | null): Promise<string> {
  try {
    return await response.text()
  } catch (error) {
    if (isAbort(error)) throw error
    throw interrupted(requestId)
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** What an address of the API gives; undefined where that is not JSON. Throws a Failure, or AbortError once `signal` aborts. */
export async function getJson(path: string, key: string, signal: AbortSignal): Promise<unknown> {
  const response = await send(path, { headers: headers(key), signal })
  return parseJson(await readText(response, response.headers.get('x-request-id')))
}

/** The prompt that a model's chat template makes of messages. Throws a Failure, or AbortError once `signal` aborts. */
export async function renderChat(request: RenderRequest, key: string, signal: AbortSignal): Promise<string> {
  const response = await post('/v1/chat/completions/render', JSON.stringify(request), key, signal)
  const requestId = response.headers.get('x-request-id')
  const value = parseJson(await readText(response, requestId))
  if (!isObject(value) || typeof value.prompt !== 'string') throw new Failure('malformed', failures.notPrompt, { status: response.status, requestId })
  return value.prompt
}

/** The models that this key may use. */
export async function listModels(key: string, signal: AbortSignal): Promise<Model[]> {
  const value = await getJson('/v1/models', key, signal)
  if (value === undefined) throw new Failure('malformed', failures.badModels, { status: 200 })
  return readModels(value)
}

async function* decode(body: ReadableStream<Uint8Array>, requestId: string | null): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  const reader = body.getReader()
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield decoder.decode(value, { stream: true })
    }
  } catch (error) {
    if (isAbort(error)) throw error
    throw interrupted(requestId)
  } finally {
    reader.cancel().catch(() => undefined) // frees the connection when the reader stops before the end
  }
}

async function post(path: string, body: string, key: string, signal: AbortSignal): Promise<Response> {
  return send(path, {
    method: 'POST',
    headers: headers(key, { 'Content-Type': 'application/json', Accept: 'text/event-stream, application/json' }),
    body,
    signal,
  })
}

function postCompletion(request: CompletionRequest, key: string, signal: AbortSignal): Promise<Response> {
  return post('/v1/completions', bodyOf(request), key, signal)
}

/** The events of an answer that is one JSON object. */
async function readWhole(response: Response, requestId: string | null): Promise<CompletionEvent[]> {
  const value = parseJson(await readText(response, requestId))
  const wire = readError(value)
  if (wire) throw new Failure('stream', wire.message, { status: response.status, requestId, wire })
  const events = readCompletion(value)
  if (events.length === 0) throw new Failure('malformed', 'The server’s answer is not a completion.', { status: response.status, requestId })
  return events
}

/**
 * Asks for a completion and yields what comes, as it comes. A server that answers with one plain JSON object instead of
 * a stream is read as well. Throws a Failure (see `FailureKind`), or AbortError once `signal` aborts.
 */
export async function* complete(
  request: CompletionRequest,
  key: string,
  signal: AbortSignal,
): AsyncGenerator<CompletionEvent, void> {
  const response = await postCompletion(request, key, signal)
  const requestId = response.headers.get('x-request-id')
  const type = response.headers.get('content-type') ?? ''
  if (type.includes('text/event-stream') && response.body) yield* readStream(decode(response.body, requestId), requestId)
  else yield* await readWhole(response, requestId)
}

/** The same for a request without `stream`: all events at once. */
export async function completeOnce(request: CompletionRequest, key: string, signal: AbortSignal): Promise<CompletionEvent[]> {
  const response = await postCompletion(request, key, signal)
  return readWhole(response, response.headers.get('x-request-id'))
}
