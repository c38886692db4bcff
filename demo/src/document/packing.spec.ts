import { describe, expect, it } from 'vitest'

import { initialSettings } from '../settings/settings'
import { pack, unpack } from './packing'
import { appendOutput, beginRun, endRun } from './run'
import { restore, save } from './transfer'
import { emptyTree, type DocumentTree, type Token } from './tree'

const TOKENS: Token[] = [{ text: ' é🏝', id: 7, logprob: -0.5, top: [{ text: ' é🏝', logprob: -0.5, id: 7 }] }, { text: '', shown: '</s>', id: null, logprob: null, top: [] }]

function sample(): DocumentTree {
  const [begun, place] = beginRun(emptyTree(), 0, 'run-1', 2, '', { model: 'm', params: {}, finish: null, usage: null, ttftMs: null, tps: null })
  const tree = appendOutput(begun, place.outputs[0] ?? -1, ' é🏝', TOKENS)
  return { ...endRun(tree, place, ['stop', 'stop'], ';', {}), typing: null }
}

describe('packing', () => {
  it('gives back what was saved, also through a structured clone', () => {
    const saved = save(sample(), initialSettings(), new Date(0))
    expect(unpack(structuredClone(pack(saved)))).toEqual(saved)
    expect(restore(unpack(pack(saved))).tree).toEqual(sample())
  })

  it('leaves alone what was never packed', () => {
    const saved = save(sample(), initialSettings(), new Date(0))
    for (const value of [saved, null, undefined, 5, {}, { document: { nodes: [null, 5] } }]) expect(unpack(value)).toEqual(value)
  })

  it('writes a list of tokens only once', () => {
    let times = 0
    const tokens = Object.assign([...TOKENS], { toJSON: () => { times += 1; return TOKENS } })
    const tree = sample()
    const nodes = Object.fromEntries(Object.entries(tree.nodes).map(([id, node]) => [id, node.tokens.length > 0 ? { ...node, tokens } : node]))
    for (const ms of [0, 1, 2]) pack(save({ ...tree, nodes }, initialSettings(), new Date(ms)))
    expect(times).toBe(1)
  })
})
