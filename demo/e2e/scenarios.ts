import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

import { error, json, type ScriptedServer } from './scripted-server'

/** Answers of the scripted server. A prompt that holds "[name]" gets the scenario of that name, any other one a good short stream. */
export type Scenario = (body: Record<string, unknown>, response: ServerResponse, server: ScriptedServer) => Promise<void> | void

const USAGE = { choices: [], usage: { prompt_tokens: 4, completion_tokens: 3, total_tokens: 7 } }

function choice(text: string, index = 0, finish: string | null = null): object {
  return { id: 'cmpl-1', object: 'text_completion', choices: [{ text, index, logprobs: null, finish_reason: finish }], usage: null }
}

const event = (value: object): string => `data: ${JSON.stringify(value)}\n\n`
const DONE = 'data: [DONE]\n\n'

function open(response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' })
  response.flushHeaders()
}

/** Streams pieces of text with a pause before each, unless the client leaves. */
async function stream(response: ServerResponse, texts: string[], pauseMs: number): Promise<void> {
  open(response)
  for (const text of texts) {
    await sleep(pauseMs)
    if (response.destroyed) return
    response.write(event(choice(text)))
  }
}

const words = (count: number, end = ' '): string[] => Array.from({ length: count }, (_, at) => `word${at}${end}`)

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  async good(body, response) {
    open(response)
    const n = typeof body.n === 'number' ? body.n : 1
    for (const text of [' one', ' two', ' three']) {
      await sleep(15)
      for (let index = n - 1; index >= 0; index -= 1) response.write(event(choice(n > 1 ? `${text}${index}` : text, index)))
    }
    for (let index = 0; index < n; index += 1) response.write(event(choice('', index, index === 0 ? 'stop' : 'length')))
    response.end(event(USAGE) + DONE)
  },

  async slow(_, response) {
    await stream(response, words(400), 25)
    response.end(event(choice('', 0, 'length')) + event(USAGE) + DONE)
  },

  async lines(_, response) {
    await stream(response, words(150, '\n'), 12)
    response.end(event(choice('', 0, 'length')) + event(USAGE) + DONE)
  },

  async silent(_, response) {
    open(response)
    while (!response.destroyed) await sleep(20)
  },

  /** Every byte by itself, CRLF, comments, an event over several data: lines. */
  async bytes(_, response) {
    open(response)
    const text = [
      ': ping\r\n\r\n', event(choice(' Grüße 🏝')).replaceAll('\n', '\r\n'),
      'data: {"choices":\r\ndata: [{"index": 0, "text": " 日本", "finish_reason": null}]}\r\n\r\n', ': ping\n\n', event(choice('!', 0, 'stop')), event(USAGE), DONE,
    ].join('')
    for (const byte of Buffer.from(text)) {
      response.write(Buffer.of(byte))
      await sleep(1)
    }
    response.end()
  },

  async failing(_, response) {
    await stream(response, [' half', ' an'], 15)
    response.end(event({ error: { message: 'The backend went away.', type: 'server_error', param: null, code: 'backend_lost' } }))
  },

  async cut(_, response) {
    await stream(response, [' half', ' an'], 15)
    response.end()
  },

  async reset(_, response) {
    await stream(response, [' half', ' an'], 15)
    await sleep(50)
    response.destroy()
  },

  /** Loading for the first two requests, with the model's state to match. */
  loading(body, response, server) {
    const tries = server.asked.filter(({ body: { prompt } }) => prompt === body.prompt).length
    const status = tries <= 2 ? 'loading' : 'ready'
    server.models = server.models.map((each) => (each.id === 'scripted' ? { ...each, status } : each))
    if (tries <= 2) return error(response, 503, 'The model is loading.', null, 'model_loading', { 'Retry-After': '1' })
    return SCENARIOS.good?.(body, response, server)
  },

  bad(_, response) {
    error(response, 400, 'temperature must be at most 2.', 'temperature')
  },

  penalty(_, response) {
    error(response, 400, 'presence_penalty is odd.', 'presence_penalty')
  },

  overflow(_, response) {
    error(response, 400, 'This model\'s maximum context length is 512 tokens.', 'prompt', 'context_length_exceeded')
  },

  busy(_, response) {
    error(response, 429, 'Rate limit reached.', null, 'rate_limit_exceeded', { 'Retry-After': '7' })
  },

  big(_, response) {
    error(response, 413, 'The request body is too large.')
  },

  gateway(_, response) {
    response.writeHead(502, { 'Content-Type': 'text/html' })
    response.end('<html><body><h1>502 Bad Gateway</h1></body></html>')
  },

  plain(_, response) {
    json(response, 200, { choices: [{ text: ' all at once', index: 0, finish_reason: 'stop' }], usage: { prompt_tokens: 2, completion_tokens: 3 } })
  },

  html(_, response) {
    response.writeHead(200, { 'Content-Type': 'text/html' })
    response.end('<html><body>Sign in</body></html>')
  },

  async hostile(_, response) {
    await stream(response, [' <img src=x onerror="document.title=1">', '<script>document.title=2</script>', ' {{ 1 + 1 }} \u202e\u0007'], 10)
    response.end(event(choice('', 0, 'stop')) + DONE)
  },
}

export function scenarioFor(prompt: string): Scenario {
  const name = /\[(\w+)\]/.exec(prompt)?.[1] ?? 'good'
  const scenario = SCENARIOS[name]
  if (!scenario) throw new Error(`There is no scenario ${name}`)
  return scenario
}
