import { describe, expect, it } from 'vitest'

import { initialSettings } from '../settings/settings'
import { editText } from './edit'
import { appendOutput, beginRun, endRun } from './run'
import { restore, save } from './transfer'
import { emptyTree, undo, type DocumentTree } from './tree'

function sample(): DocumentTree {
  const start = editText(emptyTree(), 'Grüße \n')
  const [begun, place] = beginRun(start, start.head, 'run-1', 2, '', { model: 'm', params: { n: 2 }, finish: null, usage: null, ttftMs: null, tps: null })
  const written = place.outputs.reduce((tree, id) => appendOutput(tree, id, `out ${id}`), begun)
  return undo(endRun(written, place, ['stop', 'length'], ';', { usage: { promptTokens: 1, completionTokens: 2 }, ttftMs: 5 }))
}

describe('save and restore', () => {
  it('give back the document with its history, and the settings', () => {
    const tree = sample()
    const settings = { ...initialSettings(), model: 'm', stop: ['\n'], restartText: '\n\nQ:' }
    settings.numbers.seed = 7
    const text = JSON.stringify(save(tree, settings, new Date(0)))
    expect(JSON.parse(text)).toMatchObject({ app: 'sandle', version: 1 })
    expect(restore(JSON.parse(text))).toEqual({ tree: { ...tree, typing: null }, settings })
  })

  it.each([
    ['nothing', null, /not a file/],
    ['another file', { version: 1 }, /not a file/],
    ['a later version', { app: 'sandle', version: 2 }, /version 2/],
    ['no document', { app: 'sandle', version: 1 }, /no document/],
  ])('refuse %s in words', (_, value, words) => {
    expect(() => restore(value)).toThrow(words)
  })

  it('refuse a document that is not a tree', () => {
    const good = save(sample(), initialSettings(), new Date(0))
    const broken = (change: (saved: typeof good) => void): unknown => {
      const copy = structuredClone(good)
      change(copy)
      return copy
    }
    expect(() => restore(broken((saved) => { saved.document.head = 999 }))).toThrow(/no head/)
    expect(() => restore(broken((saved) => { saved.document.nodes[1] = { ...saved.document.nodes[1], parent: 1 } as never }))).toThrow(/not a tree/)
    expect(() => restore(broken((saved) => { saved.document.nodes[1] = { ...saved.document.nodes[1], parent: 77 } as never }))).toThrow(/not a tree/)
    expect(() => restore(broken((saved) => { saved.document.nodes[1] = { id: 1, text: 5 } as never }))).toThrow(/not understood/)
  })

  it('put wild settings right', () => {
    const saved = { ...save(emptyTree(), initialSettings(), new Date(0)), settings: { numbers: { temperature: 1e9, n: 'two' }, stop: [1, '', 'x'], model: 5 } }
    expect(restore(saved).settings).toMatchObject({ numbers: { temperature: 2, n: 1 }, stop: ['x'], model: '' })
  })
})
