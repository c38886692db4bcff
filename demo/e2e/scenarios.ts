import type { ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

import { addedBy, Answer, event, type Body } from './scripted-answer'
import { error, json, type ScriptedServer } from './scripted-server'
import { tokenOf, TWINS, type ScriptedToken } from './scripted-tokens'

/**
 * Answers of the scripted server. A prompt that holds "[name]" gets the scenario of that name, any other one a good short stream.
 * Those in STREAMS write a stream; asked for no stream, they give the good answer whole. What a test must have seen before the answer
 * goes on is waited for (`held`), not given a time.
 */
type Stream = (answer: Answer, body: Body, server: ScriptedServer) => Promise<void> | void
type Refusal = (body: Body, response: ServerResponse, server: ScriptedServer) => Promise<void> | void

const tokens = (...texts: string[]): ScriptedToken[] => texts.map(tokenOf)
const GOOD = tokens(' one', ' two', ' three')
const words = (count: number, end = ' '): ScriptedToken[] => Array.from({ length: count }, (_, at) => tokenOf(`word${at}${end}`))

/** Sends tokens one by one with a pause before each, unless the client leaves. */
async function write(answer: Answer, all: readonly ScriptedToken[], pauseMs: number): Promise<void> {
  answer.open()
  for (const token of all) {
    await sleep(pauseMs)
    if (answer.hasLeft) return
    answer.send([token])
  }
}

/** Waits until the test lets it go on, or the client leaves. */
async function held(answer: Answer, server: ScriptedServer): Promise<void> {
  while (server.isHeld && !answer.hasLeft) await sleep(20)
}

/** 20,000 tokens, a hundred at a time, each hundred ended by `end`. */
async function many(answer: Answer, end: string): Promise<void> {
  answer.open()
  for (let at = 0; at < 20_000 && !answer.hasLeft; at += 100) {
    answer.send(Array.from({ length: 100 }, (_, index) => tokenOf(` w${(at + index) % 997}${index === 99 ? end : ''}`)))
    await sleep(1)
  }
  answer.end('length')
}

const HALF = tokens(' half', ' an')

const STREAMS: Readonly<Record<string, Stream>> = {
  /** With several choices, their pieces interleaved, the last first. */
  async good(answer) {
    answer.open()
    for (const token of GOOD) {
      await sleep(15)
      for (let index = answer.choices - 1; index >= 0; index -= 1) answer.send([answer.choices > 1 ? tokenOf(`${token.text}${index}`) : token], index)
    }
    answer.end()
  },

  /** Every fourth token is an unlikely one. */
  async eight(answer) {
    await write(answer, tokens(' Once', ' there', ' was', ' an', ' old', ' lighthouse', '.', '\n'), 5)
    answer.end()
  },

  /** Goes on for longer than any test. */
  async slow(answer) {
    await write(answer, words(8000), 25)
    answer.end('length')
  },

  async lines(answer) {
    await write(answer, words(150, '\n'), 12)
    answer.end('length')
  },

  /** Waits for its turn first, until the test lets it go on. */
  async queued(answer, _, server) {
    answer.open()
    while ((server.isHeld || server.places.length > 0) && !answer.hasLeft) {
      const place = server.places.shift()
      if (place !== undefined) answer.response.write(`: queue ${place}\n\n`)
      await sleep(50)
    }
    if (answer.hasLeft) return
    answer.send(GOOD)
    answer.end()
  },

  async silent(answer) {
    answer.open()
    while (!answer.hasLeft) await sleep(20)
  },

  /** Every byte by itself, CRLF, comments, an event over several data: lines. */
  async bytes(answer) {
    answer.open()
    const text = [
      ': ping\r\n\r\n', answer.piece(tokens(' Grüße 🏝')).replaceAll('\n', '\r\n'),
      'data: {"choices":\r\ndata: [{"index": 0, "text": " 日本", "finish_reason": null}]}\r\n\r\n', ': ping\n\n', answer.piece(tokens('!'), 0, 'stop'),
      event({ choices: [], usage: { prompt_tokens: 4, completion_tokens: 3 } }), 'data: [DONE]\n\n',
    ].join('')
    for (const byte of Buffer.from(text)) {
      answer.response.write(Buffer.of(byte))
      await sleep(1)
    }
    answer.response.end()
  },

  /** A character that is spread over four tokens. */
  async parts(answer) {
    const bytes = [...Buffer.from('🏝')].map((byte) => `bytes:\\x${byte.toString(16)}`)
    await write(answer, [...tokens(' An'), ...bytes.map((text, at) => ({ ...tokenOf(text), adds: at === bytes.length - 1 ? '🏝' : '' })), ...tokens(' é', ' island')], 5)
    answer.end()
  },

  /** Tokens with one and the same text: the same id again, and another id. */
  async twins(answer) {
    const [first, second] = TWINS.map((id) => ({ text: ' twin', id })) as [ScriptedToken, ScriptedToken]
    await write(answer, [...tokens(' a'), first, first, second, ...tokens(' end')], 5)
    answer.end()
  },

  /** A server that leaves out the probabilities although they were asked for. */
  async mute({ response }, body) {
    const silenced = new Answer({ ...body, logprobs: null, return_token_ids: false }, response)
    await write(silenced, GOOD, 5)
    silenced.end()
  },

  /** Probabilities of tokens that do not spell the text. */
  async crooked(answer) {
    await write(answer, GOOD.map((token) => ({ ...token, adds: token.text.toUpperCase() })), 5)
    answer.end()
  },

  /** 20,000 tokens in lines of a hundred. */
  huge: (answer) => many(answer, '\n'),

  /** The same in one line. */
  endless: (answer) => many(answer, ''),

  async failing(answer) {
    await write(answer, HALF, 15)
    answer.response.end(event({ error: { message: 'The backend went away.', type: 'server_error', param: null, code: 'backend_lost' } }))
  },

  async cut(answer, _, server) {
    await write(answer, HALF, 15)
    await held(answer, server)
    answer.response.end()
  },

  /** Held, because a browser drops what the page has not read when the connection breaks. */
  async reset(answer, _, server) {
    await write(answer, HALF, 15)
    await held(answer, server)
    answer.response.destroy()
  },

  async hostile(answer) {
    await write(answer, tokens(' <img src=x onerror="document.title=1">', '<script>document.title=2</script>', ' {{ 1 + 1 }} \u202e\u0007'), 10)
    answer.end()
  },
}

const REFUSALS: Readonly<Record<string, Refusal>> = {
  /** Loading until the test lets it go on, with the model's state to match. */
  loading(body, response, server) {
    const status = server.isHeld ? 'loading' : 'ready'
    server.models = server.models.map((each) => (each.id === 'scripted' ? { ...each, status } : each))
    if (server.isHeld) return error(response, 503, 'The model is loading.', null, 'model_loading', { 'Retry-After': '1' })
    return STREAMS.good?.(new Answer(body, response), body, server)
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

  /** What a chat template says of messages that it was not written for. */
  roles(_, response) {
    error(response, 400, 'The chat template refuses the messages: Conversation roles must alternate', 'messages')
  },

  /** No answer at all: what stands in front has to say something. */
  gone(_, response) {
    response.destroy()
  },

  plain(body, response) {
    const all = tokens(' all', ' at', ' once')
    json(response, 200, new Answer({ ...body, max_tokens: all.length + 1 }, response).whole(all))
  },

  html(_, response) {
    response.writeHead(200, { 'Content-Type': 'text/html' })
    response.end('<html><body>Sign in</body></html>')
  },
}

/** Answers a request by the scenario that its prompt names. */
export function answer(body: Body, prompt: string, response: ServerResponse, server: ScriptedServer): Promise<void> | void {
  const name = /\[(\w+)\]/.exec(prompt)?.[1] ?? 'good'
  const refusal = REFUSALS[name]
  if (refusal) return refusal(body, response, server)
  const stream = STREAMS[name]
  if (!stream) throw new Error(`There is no scenario ${name}`)
  if (body.stream === true) return stream(new Answer(body, response), body, server)
  return json(response, 200, new Answer(body, response).whole(GOOD))
}

/** The prompt of messages, as a chat template makes it; a message that holds "[name]" gets the refusal of that name. */
export function render(body: Body, response: ServerResponse, server: ScriptedServer): Promise<void> | void {
  const messages = body.messages as { role: string; content: string }[]
  const name = /\[(\w+)\]/.exec(messages.map(({ content }) => content).join(''))?.[1] ?? ''
  if (name === 'loading' && !server.isHeld) return json(response, 200, { prompt: 'loaded' })
  if (REFUSALS[name]) return REFUSALS[name](body, response, server)
  const turns = messages.map(({ role, content }) => `<|${role}|>\n${content}</s>\n`).join('')
  json(response, 200, { prompt: `<s>${body.continue_final_message ? turns.replace(/<\/s>\n$/, '') : `${turns}<|assistant|>\n`}`, tokens: [1], count: 1, max_model_len: null })
}

/** What the good answer adds to a text. */
export const GOOD_TEXT = addedBy(GOOD)
