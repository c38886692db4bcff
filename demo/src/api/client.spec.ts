import { afterEach, describe, expect, it, vi } from 'vitest'

import { curlSnippet } from '../code/snippets'
import { initialSettings } from '../settings/settings'
import { complete, completeOnce } from './client'
import { buildRequest } from './request'

afterEach(() => vi.unstubAllGlobals())

describe('what is sent', () => {
  it('is byte for byte what the code view shows', async () => {
    const settings = { ...initialSettings(), model: 'm', stop: ['\n'], echo: true }
    const request = buildRequest(settings, 'Grüße "🏝"\n', ['logprobs', 'echo', 'return_token_ids'])
    const bodies: unknown[] = []
    vi.stubGlobal('fetch', (_: string, init: RequestInit) => {
      bodies.push(init.body)
      return Promise.resolve(new Response('data: [DONE]\n\n', { headers: { 'content-type': 'text/event-stream' } }))
    })
    for await (const _ of complete(request, 'k', new AbortController().signal)) expect.unreachable()
    await completeOnce(request, 'k', new AbortController().signal).catch(() => undefined)
    const shown = /-d '(.*)'$/s.exec(curlSnippet(request, 'http://h'))?.[1]
    expect(bodies).toEqual([shown, shown])
    expect(JSON.parse(String(shown))).toEqual(request)
  })
})
