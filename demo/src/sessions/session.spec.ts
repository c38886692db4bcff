import { describe, expect, it } from 'vitest'

import { nextHead, readHead, titleOf, type SessionHead } from './session'

const NOW = new Date(0)
const savedAt = NOW.toISOString()
const stored: SessionHead = { id: 'a', name: 'Letter', title: 'Dear', version: 5, savedAt: 'earlier' }

describe('a session is saved', () => {
  it('where it was, while no other tab has saved it', () => {
    expect(nextHead({ id: 'a', version: 5 }, 'Dear Ada', [stored], NOW, 'new')).toEqual({ id: 'a', name: 'Letter', title: 'Dear Ada', version: 6, savedAt })
  })

  it('for the first time under its own id', () => {
    expect(nextHead({ id: 'b', version: 0 }, 'Once', [stored], NOW, 'new')).toEqual({ id: 'b', name: '', title: 'Once', version: 1, savedAt })
  })

  it('beside what another tab has saved since', () => {
    expect(nextHead({ id: 'a', version: 4 }, 'Dear Bob', [stored], NOW, 'new')).toEqual({ id: 'new', name: 'Letter (2)', title: 'Dear Bob', version: 1, savedAt })
    const second = { ...stored, id: 'c', name: 'Letter (2)' }
    expect(nextHead({ id: 'c', version: 1 }, 'x', [stored, second], NOW, 'new').name).toBe('Letter (3)')
    expect(nextHead({ id: 'a', version: 1 }, 'x', [{ ...stored, name: '' }], NOW, 'new').name).toBe('Dear (2)')
  })

  it('again after it was deleted in another tab', () => {
    expect(nextHead({ id: 'a', version: 5 }, 'Dear', [], NOW, 'new')).toMatchObject({ id: 'a', version: 6 })
  })

  it('by two tabs in turn, and neither overwrites the other', () => {
    let heads: SessionHead[] = []
    const texts = new Map<string, string>()
    const marks = [{ id: 'a', version: 0 }, { id: 'a', version: 0 }]
    for (const [turn, tab] of [0, 0, 1, 0, 1, 1, 0].entries()) {
      const head = nextHead(marks[tab] ?? stored, '', heads, NOW, `fork-${turn}`)
      heads = [...heads.filter(({ id }) => id !== head.id), head]
      texts.set(head.id, `tab ${tab}`)
      marks[tab] = head
    }
    expect(texts).toEqual(new Map([['a', 'tab 0'], ['fork-2', 'tab 1']]))
  })
})

describe('titleOf', () => {
  it('takes the first words, on one line', () => {
    expect(titleOf('  Once upon\n\na time ')).toBe('Once upon a time')
    expect(titleOf(' \n')).toBe('')
    expect(titleOf('word '.repeat(30))).toBe('word word word word word word word word…')
    expect(titleOf('🏝'.repeat(100))).toBe(`${'🏝'.repeat(40)}…`)
  })
})

describe('readHead', () => {
  it('reads what was stored, and nothing else', () => {
    expect(readHead(JSON.parse(JSON.stringify(stored)))).toEqual(stored)
    for (const value of [null, 5, 'a', {}, { ...stored, version: '5' }, { ...stored, version: NaN }, { ...stored, name: undefined }]) expect(readHead(value)).toBeNull()
  })
})
