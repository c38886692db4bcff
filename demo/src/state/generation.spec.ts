import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { signal } from '@preact/signals-core'

import { lastFork, tipOf } from '../document/run'
import { moveHead, pathTo, type Alternative, type DocumentNode } from '../document/tree'
import { initialSettings, type Settings } from '../settings/settings'
import { Generation } from './generation'
import { createDocument, type SandboxDocument } from './sandboxDocument'

const CAPABILITIES = ['logprobs', 'echo', 'return_token_ids', 'seed', 'n', 'top_k']

/** A server whose token ids are those of the words below, and which continues any prompt with `answer`. */
const VOCABULARY = ['<s>', 'Hi', ' one', ' two', ' three', ' four', '</s>']
let answer: number[][] = []
let asked: Record<string, unknown>[] = []

function chunk(index: number, ids: number[], fields: object = {}): object {
  const names = ids.map((id) => VOCABULARY[id] ?? '?')
  return {
    index, text: names.filter((name) => !name.startsWith('<')).join(''), token_ids: ids, finish_reason: null,
    logprobs: {
      tokens: names, token_logprobs: ids.map(() => -0.5), top_logprobs: names.map((name) => ({ [name]: -0.5, ' four': -1 })),
      top_token_ids: names.map((name, at) => ({ [name]: ids[at], ' four': 5 })),
    },
    ...fields,
  }
}

const promptIdsOf = (prompt: unknown): number[] => (Array.isArray(prompt) ? prompt : [0, ...(String(prompt).match(/ ?\w+/g) ?? []).map((word) => VOCABULARY.indexOf(word))]) as number[]

function serve(body: Record<string, unknown>): Response {
  asked.push(body)
  const promptIds = promptIdsOf(body.prompt)
  const choices = answer.flatMap((ids, index) => [
    ...(body.echo ? [chunk(index, promptIds, { text: body.prompt, prompt_token_ids: promptIds })] : []),
    ...ids.map((id, at) => chunk(index, [id], at === 0 && !body.echo ? { prompt_token_ids: promptIds } : {})),
    chunk(index, [], { finish_reason: 'stop', logprobs: null }),
  ])
  if (!body.stream) return new Response(JSON.stringify({ choices }), { headers: { 'content-type': 'application/json' } })
  const events = choices.map((choice) => `data: ${JSON.stringify({ choices: [choice] })}\n\n`)
  return new Response(`${events.join('')}data: [DONE]\n\n`, { headers: { 'content-type': 'text/event-stream' } })
}

let doc: SandboxDocument
let settings: Settings
let run: Generation

beforeEach(() => {
  asked = []
  answer = [[2, 3, 4, 6]]
  vi.stubGlobal('requestAnimationFrame', (work: () => void) => setTimeout(work, 0))
  vi.stubGlobal('cancelAnimationFrame', (frame: ReturnType<typeof setTimeout>) => clearTimeout(frame))
  vi.stubGlobal('fetch', (_: string, init: RequestInit) => Promise.resolve(serve(JSON.parse(String(init.body)) as Record<string, unknown>)))
  doc = createDocument(null)
  settings = { ...initialSettings(), model: 'm' }
  run = new Generation({ document: doc, settings, key: signal('k'), capabilities: () => CAPABILITIES, onModelNews: () => undefined })
  doc.set('Hi')
})
afterEach(() => vi.unstubAllGlobals())

const output = (): DocumentNode => pathTo(doc.tree.value, doc.tree.value.head).findLast((node) => node.part === 'output') as DocumentNode
const FOUR: Alternative = { text: ' four', logprob: -1, id: 5 }

describe('a run', () => {
  it('keeps each token with its id and its alternatives', async () => {
    await run.generate()
    expect(doc.text.value).toBe('Hi one two three')
    expect(output().tokens.map(({ text, shown, id }) => [shown ?? text, id])).toEqual([[' one', 2], [' two', 3], [' three', 4], ['</s>', 6]])
    expect(output().tokens[0]?.top).toEqual([{ text: ' one', logprob: -0.5, id: 2 }, FOUR])
  })

  it('takes the echoed prompt out of what it writes, and keeps its tokens', async () => {
    settings.echo = true
    answer = [[2, 3], [4]]
    settings.numbers.n = 2
    await run.generate()
    expect(asked[0]).toMatchObject({ echo: true })
    expect(doc.text.value).toBe('Hi one two')
    expect(output().tokens.map(({ text }) => text)).toEqual([' one', ' two'])
    expect(run.echoed.value).toMatchObject({ model: 'm', text: 'Hi', tokens: [{ text: '', shown: '<s>', id: 0 }, { text: 'Hi', id: 1 }] })
  })
})

describe('a branch', () => {
  it('goes on from the very ids before it, and leaves the old continuation beside it', async () => {
    settings.startText = ' one'
    await run.generate()
    expect(doc.text.value).toBe('Hi one one two three')
    answer = [[3]]
    await run.branch({ node: output().id, index: 1 }, FOUR)
    expect(asked[1]).toMatchObject({ prompt: [0, 1, 2, 2, 5] })
    expect(doc.text.value).toBe('Hi one one four two')
    const fork = lastFork(doc.tree.value)
    expect(fork).toMatchObject({ at: 1, branches: { length: 2 } })
    doc.undo()
    expect(doc.text.value).toBe('Hi one one two three')
    doc.redo()
    await run.redoPrevious()
    expect(asked[2]).toMatchObject({ prompt: [0, 1, 2, 2, 5] }) // the picked token stays, and there is no start text after it
  })

  it('of a branch, also in the place of the picked token, knows all ids', async () => {
    await run.generate()
    await run.branch({ node: output().id, index: 2 }, FOUR)
    await run.branch({ node: output().id, index: 1 }, FOUR)
    expect(asked[2]).toMatchObject({ prompt: [0, 1, 2, 3, 5, 2, 5] })
    const pick = pathTo(doc.tree.value, doc.tree.value.head).find((node) => node.text === ' four') as DocumentNode
    await run.branch({ node: pick.id, index: 0 }, { text: ' one', logprob: -3, id: 2 })
    expect(asked[3]).toMatchObject({ prompt: [0, 1, 2, 3, 2] })
  })

  it('goes by the text where an edit, another model or another page stands between', async () => {
    await run.generate()
    doc.set('Hi one, two three')
    await run.branch({ node: output().id, index: 1 }, FOUR)
    expect(asked[1]).toMatchObject({ prompt: 'Hi one, two four' })
    doc.set('Hi')
    await run.generate()
    settings.model = 'other'
    await run.branch({ node: output().id, index: 1 }, FOUR)
    expect(asked[3]).toMatchObject({ model: 'other', prompt: 'Hi one four' })
    const reloaded = new Generation({ document: doc, settings, key: signal('k'), capabilities: () => CAPABILITIES, onModelNews: () => undefined })
    await reloaded.branch({ node: output().id, index: 0 }, FOUR)
    expect(asked[4]).toMatchObject({ prompt: 'Hi one four four' })
  })

  it('in a scored text takes the ids it is given', async () => {
    doc.set('Hi two')
    await run.branchFrom(2, [0, 1], FOUR)
    expect(asked[0]).toMatchObject({ prompt: [0, 1, 5] })
    expect(doc.text.value).toBe('Hi four one two three')
    await run.branchFrom(2, null, FOUR)
    expect(asked[1]).toMatchObject({ prompt: 'Hi four' })
    const fork = lastFork(moveHead(doc.tree.value, tipOf(doc.tree.value, 1)))
    expect(fork?.branches.length).toBeGreaterThan(1)
  })
})

describe('a replay', () => {
  it('is offered for a seed and for temperature 0, and says whether the answer is the same', async () => {
    await run.generate()
    expect(run.canReplay.value).toBe(false)
    settings.numbers.seed = 7
    await run.generate()
    expect(run.canReplay.value).toBe(true)
    const before = doc.tree.value
    await run.replay()
    expect(asked[2]).toEqual(asked[1])
    expect(run.replayed.value).toEqual({ identical: true })
    expect(run.status.value).toBe('Identical')
    answer = [[2, 5]]
    await run.replay()
    expect(run.replayed.value).toEqual({ identical: false, unit: 'token', at: 1, expected: ' two', got: ' four' })
    expect(run.status.value).toBe('Diverged at token 2: “ two” then, “ four” now')
    expect(doc.tree.value).toBe(before)
  })

  it('asks for the choice that is shown, by the ids of a branch', async () => {
    settings.numbers.temperature = 0
    settings.numbers.n = 2
    answer = [[2], [3]]
    await run.generate()
    await run.branch({ node: output().id, index: 0 }, FOUR)
    doc.stepBranch(1)
    await run.replay()
    expect(asked[2]).toEqual(asked[1])
    expect(run.replayed.value).toEqual({ identical: true })
  })
})

describe('a probe', () => {
  it('gives what may come next, and writes nothing', async () => {
    const before = doc.tree.value
    const token = await run.probe(new AbortController().signal)
    expect(token).toMatchObject({ text: ' one', id: 2, top: [{ text: ' one' }, { text: ' four' }] })
    expect(asked[0]).toEqual({ model: 'm', prompt: 'Hi', max_tokens: 1, temperature: 0, logprobs: 10, return_token_ids: true })
    expect(doc.tree.value).toBe(before)
  })
})
