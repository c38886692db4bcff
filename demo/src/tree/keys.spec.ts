import { describe, expect, it } from 'vitest'

import { emptyTree, type DocumentNode } from '../document/tree'
import { actionFor, findTyped } from './keys'
import { layOut } from './layout'
import { rowsOf } from './rows'

const texts = ['', 'root', ' apple', '\nbanana', 'avocado', 'apple pie']
const parents = [null, 0, 1, 1, 3, 3]
const nodes = Object.fromEntries(texts.map((text, id): [number, DocumentNode] =>
  [id, { id, parent: parents[id] ?? null, kind: 'user', text, tokens: [], run: null, part: 'text', meta: null }]))
const items = layOut({ ...emptyTree(), nodes, head: 5, nextId: 6 })
const open = rowsOf(items, () => true) // root, apple, banana, avocado, apple pie
const folded = rowsOf(items, (item) => item.parent === null)

const press = (key: string, at: number, rows = open, more = {}): string => {
  const action = actionFor({ key, shiftKey: false, ctrlKey: false, altKey: false, metaKey: false, ...more }, rows, at)
  if (!action) return 'nothing'
  return `${action.does}${action.does === 'fold' ? (action.opens ? ' out' : ' in') : ''} ${rows.indexOf(action.row)}`
}

describe('actionFor', () => {
  it.each([
    ['ArrowDown', 1, 'focus 2'], ['ArrowDown', 4, 'focus 4'], ['ArrowUp', 1, 'focus 0'], ['ArrowUp', 0, 'focus 0'], ['Home', 3, 'focus 0'], ['End', 1, 'focus 4'],
    ['ArrowRight', 2, 'focus 3'], ['ArrowRight', 1, 'focus 1'], ['ArrowLeft', 2, 'fold in 2'], ['ArrowLeft', 4, 'focus 2'], ['ArrowLeft', 1, 'focus 0'],
    ['Enter', 3, 'show 3'], [' ', 3, 'show 3'], ['Tab', 3, 'nothing'],
  ])('%s on row %i: %s', (key, at, expected) => {
    expect(press(key, at)).toBe(expected)
  })

  it('unfolds what is folded in, and leaves the page its own shortcuts', () => {
    expect(press('ArrowRight', 2, folded)).toBe('fold out 2')
    expect(press('ArrowLeft', 2, folded)).toBe('focus 0')
    expect(press('Enter', 1, open, { shiftKey: true })).toBe('enter 1')
    expect(press('Enter', 1, open, { ctrlKey: true })).toBe('nothing')
    expect(press('ArrowLeft', 1, open, { altKey: true })).toBe('nothing')
  })
})

describe('findTyped', () => {
  const typed = (text: string, at: number): number => open.indexOf(findTyped(open, at, text) ?? open[0] as never)

  it('finds the next piece that begins so, and goes round', () => {
    expect(typed('a', 0)).toBe(1)
    expect(typed('a', 2)).toBe(3)
    expect(typed('AP', 2)).toBe(4)
    expect(typed('r', 3)).toBe(0)
    expect(typed('ban', 3)).toBe(2)
    expect(findTyped(open, 0, 'zebra')).toBeNull()
  })
})
