import type { ServerResponse } from 'node:http'

import { logprobsOf, promptIds, promptText, tokenize, type ScriptedToken } from './scripted-tokens'

/** Writes completions as the API does: streamed or whole, with the probabilities and token ids that the request asks for. */

export type Body = Record<string, unknown>

const END_OF_TEXT: ScriptedToken = { text: '</s>', id: 2, adds: '' }
const DONE = 'data: [DONE]\n\n'
const USAGE = { prompt_tokens: 4, completion_tokens: 3, total_tokens: 7 }

export const event = (value: object): string => `data: ${JSON.stringify(value)}\n\n`

export function addedBy(tokens: readonly ScriptedToken[]): string {
  return tokens.map(({ adds, text }) => adds ?? text).join('')
}

/** Answers to one request; it remembers how far each choice has come, for the offsets. */
export class Answer {
  private readonly places = new Map<number, { tokens: number; characters: number }>()

  constructor(private readonly body: Body, readonly response: ServerResponse) {}

  get choices(): number {
    return typeof this.body.n === 'number' ? this.body.n : 1
  }

  get hasLeft(): boolean {
    return this.response.destroyed
  }

  open(): void {
    this.response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' })
    this.response.flushHeaders()
  }

  /** Sends a piece of a choice. */
  send(tokens: readonly ScriptedToken[], index = 0, finish: string | null = null): void {
    this.response.write(this.piece(tokens, index, finish))
  }

  piece(tokens: readonly ScriptedToken[], index = 0, finish: string | null = null): string {
    return event(this.completion([this.choice(tokens, index, finish)], null))
  }

  /** Ends every choice and the stream; the first one by the end-of-text token, as a model does, the others by length. */
  end(finish: 'stop' | 'length' = 'stop'): void {
    for (let index = 0; index < this.choices; index += 1) {
      if (index === 0 && finish === 'stop') this.send([END_OF_TEXT], 0, 'stop')
      else this.send([], index, 'length')
    }
    this.response.end(event(this.completion([], USAGE)) + DONE)
  }

  /** The same, in one JSON object: the prompt if it is to be echoed, and as many of the tokens as are wanted. */
  whole(tokens: readonly ScriptedToken[]): object {
    const limit = typeof this.body.max_tokens === 'number' ? this.body.max_tokens : 16
    const kept = tokens.slice(0, limit)
    const finish = kept.length < limit ? 'stop' : 'length'
    const choices = Array.from({ length: this.choices }, (_, index) => this.choice(kept, index, finish))
    return this.completion(choices, { ...USAGE, completion_tokens: kept.length })
  }

  private choice(tokens: readonly ScriptedToken[], index: number, finish: string | null): object {
    const { logprobs, echo, return_token_ids: hasIds, prompt } = this.body
    const place = this.places.get(index)
    const isFirst = place === undefined
    const echoed = isFirst && echo === true ? this.echoed() : []
    const at = place?.tokens ?? 0
    const offset = place?.characters ?? 0
    const all = [...echoed, ...tokens]
    this.places.set(index, { tokens: at + tokens.length, characters: offset + [...addedBy(all)].length })
    return {
      text: addedBy(all), index, finish_reason: finish,
      logprobs: typeof logprobs !== 'number' ? null : joined([
        logprobsOf(echoed, 0, 0, logprobs, hasIds === true, true),
        logprobsOf(tokens, at, offset + [...addedBy(echoed)].length, logprobs, hasIds === true),
      ]),
      ...(hasIds === true ? { token_ids: all.map(({ id }) => id), ...(isFirst ? { prompt_token_ids: promptIds(prompt) } : {}) } : {}),
    }
  }

  private echoed(): ScriptedToken[] {
    const { prompt } = this.body
    return [{ text: '<s>', id: 1, adds: '' }, ...tokenize(promptText(prompt))]
  }

  private completion(choices: object[], usage: object | null): object {
    return { id: 'cmpl-1', object: 'text_completion', created: 0, model: this.body.model, choices, usage }
  }
}

function joined(parts: readonly object[]): object {
  const [first = {}, ...rest] = parts as Record<string, unknown[]>[]
  return Object.fromEntries(Object.entries(first).map(([name, list]) => [name, [...list, ...rest.flatMap((part) => part[name] ?? [])]]))
}
