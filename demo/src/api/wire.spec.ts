import { describe, expect, it } from 'vitest'

import { readCompletion, readError, readModels } from './wire'

describe('readModels', () => {
  it('reads what Sandle says of a model', () => {
    const data = [{ id: 'a/b', status: 'loading', status_message: 'fetching', description: 'd', max_model_len: 512, capabilities: ['n', 5] }]
    expect(readModels({ data })).toEqual([
      { id: 'a/b', status: 'loading', statusMessage: 'fetching', download: null, description: 'd', maxModelLen: 512, capabilities: ['n'] },
    ])
  })

  it('reads how far a download is, and does without what is not told', () => {
    const read = (progress: unknown): unknown => readModels({ data: [{ id: 'x', status: 'loading', progress }] })[0]?.download
    const progress = { downloaded_bytes: 500, total_bytes: 2000, bytes_per_second: 100, remaining_seconds: 15 }
    expect(read(progress)).toEqual({ doneBytes: 500, totalBytes: 2000, bytesPerS: 100, remainingS: 15 })
    expect(read({ ...progress, downloaded_bytes: 9000, bytes_per_second: null, remaining_seconds: null })).toEqual({ doneBytes: 2000, totalBytes: 2000, bytesPerS: 0, remainingS: null })
    for (const odd of [null, undefined, 5, {}, { ...progress, total_bytes: 0 }, { ...progress, downloaded_bytes: '1' }]) expect(read(odd)).toBeNull()
  })

  it('leaves out models that write no text', () => {
    const data = [{ id: 'writer', capabilities: ['n'] }, { id: 'finder', capabilities: ['embeddings'] }]
    expect(readModels({ data }).map((model) => model.id)).toEqual(['writer'])
  })

  it('makes do with an id, and with nothing', () => {
    expect(readModels({ data: [{ id: 'x' }, { id: 5 }, null] })).toEqual([
      { id: 'x', status: 'unknown', statusMessage: '', download: null, description: '', maxModelLen: null, capabilities: null },
    ])
    for (const value of [null, 'x', [], { data: null }]) expect(readModels(value)).toEqual([])
  })
})

describe('readCompletion', () => {
  it('gives text before its finish, and usage last', () => {
    expect(readCompletion({ choices: [{ index: 1, text: 'x', finish_reason: 'stop' }], usage: { prompt_tokens: 1, completion_tokens: 2 } })).toEqual([
      { type: 'text', index: 1, text: 'x' },
      { type: 'finish', index: 1, reason: 'stop' },
      { type: 'usage', usage: { promptTokens: 1, completionTokens: 2 } },
    ])
  })

  it('gives the tokens of a choice with their alternatives, the likeliest first whatever their texts', () => {
    const logprobs = {
      tokens: [' x', 'bytes:\\xe2'], token_logprobs: [-2.5, null], text_offset: [0, 2],
      top_logprobs: [JSON.parse('{" x": -2.5, "7": -3, "__proto__": -0.1}') as unknown, null], top_token_ids: [{ ' x': 5, 7: 8 }, null],
    }
    expect(readCompletion({ choices: [{ index: 2, text: ' x', logprobs, token_ids: [5, 6], prompt_token_ids: [1, 2] }] })).toEqual([
      { type: 'promptIds', index: 2, ids: [1, 2] },
      { type: 'text', index: 2, text: ' x' },
      { type: 'tokens', index: 2, tokens: [
        { text: ' x', id: 5, logprob: -2.5, top: [{ text: '__proto__', logprob: -0.1, id: null }, { text: ' x', logprob: -2.5, id: 5 }, { text: '7', logprob: -3, id: 8 }] },
        { text: 'bytes:\\xe2', id: 6, logprob: null, top: [] },
      ] },
    ])
  })

  it('gives tokens without ids where the server gives none, or another number of them', () => {
    const logprobs = { tokens: ['a', 'b'], token_logprobs: [-1, -2] }
    for (const token_ids of [undefined, null, [1], ['1', '2']]) {
      expect(readCompletion({ choices: [{ text: '', logprobs, token_ids }] })).toEqual([
        { type: 'tokens', index: 0, tokens: [{ text: 'a', id: null, logprob: -1, top: [] }, { text: 'b', id: null, logprob: -2, top: [] }] },
      ])
    }
  })

  it('is not thrown by empty or odd chunks', () => {
    for (const value of [{ choices: [] }, { choices: [null, 5, { text: '' }, { logprobs: { tokens: 5 } }, { logprobs: [] }], usage: null }, {}, 7, null]) expect(readCompletion(value)).toEqual([])
  })
})

describe('readError', () => {
  it('reads the form of OpenAI and looser ones', () => {
    expect(readError({ error: { message: 'm', type: 't', param: 'p', code: 'c' } })).toEqual({ message: 'm', param: 'p', code: 'c' })
    expect(readError({ error: 'just words' })).toEqual({ message: 'just words', param: null, code: null })
    expect(readError({ error: { message: 'm', code: 503 } })).toEqual({ message: 'm', param: null, code: '503' })
    for (const value of [{}, { error: null }, null, []]) expect(readError(value)).toBeNull()
  })
})
