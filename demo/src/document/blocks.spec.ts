import { describe, expect, it } from 'vitest'

import { inBlocks, type Stretch } from './blocks'

const joined = (blocks: Stretch[][]): string => blocks.flat().map(({ kind, text }) => [...text].map((letter) => kind + letter).join('')).join('')
const line = 'x'.repeat(99) + '\n'

describe('inBlocks', () => {
  it('keeps every letter and its author, and cuts only after line ends', () => {
    for (const text of ['', '\n', 'no end', 'an end\n', line.repeat(70), `${line.repeat(70)}tail`, 'y'.repeat(9000), `${'z'.repeat(5000)}\n\n\n`]) {
      for (const at of [0, 1, 1999, 2000, 2001, 4321]) {
        const stretches = [{ kind: 'u', text: text.slice(0, at) }, { kind: 'm', text: text.slice(at) }]
        const blocks = inBlocks(stretches)
        expect(joined(blocks)).toBe(joined([stretches]))
        for (const block of blocks.slice(0, -1)) expect(block.at(-1)?.text.endsWith('\n')).toBe(true)
      }
    }
  })

  it('leaves all blocks but the last alone when something is typed at the end', () => {
    const before = inBlocks([{ kind: 'm', text: line.repeat(100) }])
    const after = inBlocks([{ kind: 'm', text: line.repeat(100) }, { kind: 'u', text: 'typed\n' }])
    expect(before.length).toBe(5)
    expect(after.slice(0, -1)).toEqual(before.slice(0, -1))
  })
})
