import { execFileSync } from 'node:child_process'

import { describe, expect, it } from 'vitest'

import { bodyOf, type CompletionRequest } from '../api/request'
import { curlSnippet, pythonSnippet, shellQuote } from './snippets'

const REQUEST = {
  model: 'org/it\'s "m"',
  prompt: 'It\'s $HOME `id` \\ "x"\n\t!! é 🏝',
  max_tokens: 5,
  top_k: 3,
  stop: ['\n', '"'],
  stream: true,
  stream_options: { include_usage: true },
} satisfies CompletionRequest

describe('snippets', () => {
  it('quote any text so that a shell gives it back', () => {
    for (const text of ['', "'", "''\\'", 'a b\n$(id) `id` $HOME !! \\ " é', REQUEST.prompt]) {
      expect(execFileSync('/bin/sh', ['-c', `printf %s ${shellQuote(text)}`], { encoding: 'utf8' })).toBe(text)
    }
  })

  it('give curl the exact body', () => {
    const printed = execFileSync('/bin/sh', ['-c', `curl() { for last; do :; done; printf %s "$last"; }\n${curlSnippet(REQUEST, 'http://h:1')}`], { encoding: 'utf8' })
    expect(printed).toBe(bodyOf(REQUEST))
    expect(JSON.parse(printed)).toEqual(REQUEST)
  })

  it('name only the variable of the key', () => {
    expect(curlSnippet(REQUEST, 'http://h:1')).toContain('Bearer $SANDLE_API_KEY')
    expect(pythonSnippet(REQUEST, 'http://h:1')).toContain('os.environ["SANDLE_API_KEY"]')
  })

  it('give Python the exact body, with extensions in extra_body', () => {
    const snippet = pythonSnippet(REQUEST, 'http://h:1')
    expect(snippet).toContain('    extra_body={"top_k": 3},')
    expect(snippet).toContain('    stop=["\\n", "\\""],')
    expect(snippet).toContain('    stream=True,')
  })
})
