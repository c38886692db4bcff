import { describe, expect, it } from 'vitest'

import { readCompletion, readError, readModels } from './wire'

describe('readModels', () => {
  it('reads what Sandle says of a model', () => {
    const data = [{ id: 'a/b', status: 'loading', status_message: 'fetching', description: 'd', max_model_len: 512, capabilities: ['n', 5] }]
    expect(readModels({ data })).toEqual([
      { id: 'a/b', status: 'loading', statusMessage: 'fetching', description: 'd', maxModelLen: 512, capabilities: ['n'] },
    ])
  })

  it('makes do with an id, and with nothing', () => {
    expect(readModels({ data: [{ id: 'x' }, { id: 5 }, null] })).toEqual([
      { id: 'x', status: 'unknown', statusMessage: '', description: '', maxModelLen: null, capabilities: null },
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

  it('is not thrown by empty or odd chunks', () => {
    for (const value of [{ choices: [] }, { choices: [null, 5, { text: '' }], usage: null }, {}, 7, null]) expect(readCompletion(value)).toEqual([])
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
