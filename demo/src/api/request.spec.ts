import { describe, expect, it } from 'vitest'

import { initialSettings } from '../settings/settings'
import { buildRequest } from './request'

const ALL = ['n', 'seed', 'top_k', 'min_p', 'presence_penalty', 'frequency_penalty', 'repetition_penalty', 'suffix', 'logprobs', 'echo', 'return_token_ids']

describe('buildRequest', () => {
  it('sends max_tokens and the temperature of the page, and nothing that equals the default of the API', () => {
    expect(buildRequest({ ...initialSettings(), model: 'm' }, 'Hello', ALL)).toEqual({
      model: 'm', prompt: 'Hello', max_tokens: 128, temperature: 0.7, logprobs: 5, return_token_ids: true, stream: true, stream_options: { include_usage: true },
    })
  })

  it('tells the server to add no special tokens to a text that holds them, and says nothing of ids', () => {
    const settings = { ...initialSettings(), addsSpecialTokens: false }
    expect(buildRequest(settings, '<s>Hello', ALL)).toHaveProperty('add_special_tokens', false)
    expect(buildRequest(settings, [1, 2], ALL)).not.toHaveProperty('add_special_tokens')
    expect(buildRequest(initialSettings(), 'Hello', ALL)).not.toHaveProperty('add_special_tokens')
  })

  it('leaves the temperature out at the default of the API, and sends 0', () => {
    const settings = initialSettings()
    settings.numbers.temperature = 1
    expect(buildRequest(settings, '', ALL)).not.toHaveProperty('temperature')
    settings.numbers.temperature = 0
    expect(buildRequest(settings, '', ALL)).toHaveProperty('temperature', 0)
  })

  it('sends each changed field', () => {
    const settings = initialSettings()
    Object.assign(settings.numbers, { top_p: 0.9, top_k: 40, min_p: 0.05, seed: 0, n: 3, presence_penalty: -1, frequency_penalty: 0.5, repetition_penalty: 1.1 })
    Object.assign(settings, { stop: ['\n', '"'], suffix: ' end' })
    expect(buildRequest(settings, 'x', ALL)).toMatchObject({
      top_p: 0.9, top_k: 40, min_p: 0.05, seed: 0, n: 3, presence_penalty: -1, frequency_penalty: 0.5, repetition_penalty: 1.1, stop: ['\n', '"'], suffix: ' end',
    })
  })

  it('leaves out what the model cannot do', () => {
    const settings = initialSettings()
    Object.assign(settings.numbers, { top_k: 40, min_p: 0.1, seed: 5, n: 2, presence_penalty: 1 })
    settings.suffix = 'end'
    const body = buildRequest(settings, 'x', ['seed'])
    expect(body.seed).toBe(5)
    for (const field of ['top_k', 'min_p', 'n', 'presence_penalty', 'suffix']) expect(body).not.toHaveProperty(field)
  })

  it('asks for probabilities and ids where there are any, and for an echo where it can be', () => {
    const settings = { ...initialSettings(), echo: true }
    expect(buildRequest(settings, 'x', ALL)).toMatchObject({ logprobs: 5, echo: true, return_token_ids: true })
    expect(buildRequest(settings, [1, 2], ALL)).not.toHaveProperty('echo')
    expect(buildRequest({ ...settings, suffix: 'end' }, 'x', ALL)).not.toHaveProperty('echo')
    expect(buildRequest(settings, 'x', ['logprobs'])).toMatchObject({ logprobs: 5 })
    for (const field of ['logprobs', 'echo', 'return_token_ids']) {
      expect(buildRequest(settings, 'x', null)).not.toHaveProperty(field)
      expect(buildRequest(settings, 'x', [])).not.toHaveProperty(field)
    }
    settings.numbers.logprobs = 0
    expect(buildRequest(settings, 'x', ALL)).toMatchObject({ logprobs: 0, return_token_ids: true })
    settings.numbers.logprobs = null
    expect(buildRequest(settings, 'x', ALL)).not.toHaveProperty('logprobs')
    expect(buildRequest(settings, 'x', ALL)).not.toHaveProperty('return_token_ids')
  })

  it('takes a model that lists no capabilities for one of OpenAI’s', () => {
    const settings = initialSettings()
    Object.assign(settings.numbers, { top_k: 40, n: 2, presence_penalty: 1 })
    const body = buildRequest(settings, 'x', null)
    expect(body).toMatchObject({ n: 2, presence_penalty: 1 })
    expect(body).not.toHaveProperty('top_k')
  })

  it('never sends a value outside the range of its field', () => {
    const settings = initialSettings()
    Object.assign(settings.numbers, { temperature: 99, max_tokens: -4, n: 2.6 })
    expect(buildRequest(settings, 'x', ALL)).toMatchObject({ temperature: 2, max_tokens: 1, n: 3 })
  })
})
