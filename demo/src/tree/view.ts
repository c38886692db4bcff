import { computed, effect, signal, type Signal } from '@preact/signals-core'

import { moveHead, type DocumentTree, type NodeId } from '../document/tree'
import type { Sandbox } from '../state/sandbox'
import { foldingOf, type Folding } from './folding'
import { actionFor, findTyped, type KeyAction } from './keys'
import { layOut, type TreeItem } from './layout'
import { rowsOf, type Row } from './rows'

/** While the model writes, the picture follows at this interval, in milliseconds. */
const FOLLOW_MS = 250
/** So many rows are made at first, and again whenever their end comes into sight. */
const ROWS = 150
/** Letters typed within this time of each other are one search, in milliseconds. */
const TYPING_MS = 600

/** One look at the tree: its rows, the one that Tab reaches, and what keys and presses do. Knows nothing of how a row is drawn. */
export class TreeView {
  private readonly shown: Signal<DocumentTree>
  private readonly folding: Folding
  private readonly items = computed(() => layOut(this.shown.value))
  private readonly rows = computed(() => rowsOf(this.items.value, (item) => this.folding.isExpanded(item, this.items.value.length)))
  readonly headRow = computed(() => Math.max(0, this.rows.value.findLastIndex(({ item }) => item.isOnPath)))
  readonly branches = computed(() => this.items.value.filter(({ children }) => children.length === 0).length)
  readonly active = signal<NodeId | null>(null)
  private readonly stop = computed(() => this.rows.value.findIndex(({ item }) => item.id === this.active.value))
  readonly stopRow = computed(() => (this.stop.value < 0 ? this.headRow.value : this.stop.value))
  private readonly count: Signal<number>
  /** The rows that are drawn: all of them once it `isWhole`. */
  readonly made = computed(() => this.rows.value.slice(0, Math.max(this.count.value, this.stopRow.value + 1)))
  readonly isWhole = computed(() => this.made.value.length === this.rows.value.length)
  private typed = ''
  private typedAtMs = 0

  /** `focus` brings the focus to a row that may not have been drawn yet. */
  constructor(private readonly sandbox: Sandbox, private readonly focus: (row: Row) => void) {
    this.shown = signal(sandbox.document.tree.peek())
    this.folding = foldingOf(sandbox)
    this.count = signal(Math.max(ROWS, this.headRow.peek() + ROWS / 2))
  }

  /** Follows the document, a little later while the model writes. Gives the way to end it. */
  follow(): () => void {
    const { document: doc, run } = this.sandbox
    let timer: ReturnType<typeof setTimeout> | undefined
    const catchUp = (): void => {
      clearTimeout(timer)
      timer = undefined
      this.shown.value = doc.tree.peek()
    }
    const stop = effect(() => {
      void doc.tree.value
      if (run.isRunning.value) timer ??= setTimeout(catchUp, FOLLOW_MS)
      else catchUp()
    })
    return () => {
      stop()
      clearTimeout(timer)
    }
  }

  makeMore(): void {
    this.count.value += ROWS
  }

  /** Shows a branch to its end; of the text shown already, its end here. */
  readonly show = (item: TreeItem): void => {
    this.active.value = item.id
    this.goTo(item.isOnPath && !item.hasHead ? item.end : item.tip)
  }

  readonly enter = (item: TreeItem): void => this.goTo(item.end)

  /** A fold that takes the row with the stop out of sight has the stop. */
  readonly fold = ({ item, isExpanded }: Row): void => {
    this.folding.set(item, !isExpanded)
    if (this.stop.value < 0) this.active.value = item.id
  }

  readonly onFocus = (item: TreeItem): void => { this.active.value = item.id }

  readonly onKeyDown = (event: KeyboardEvent): void => {
    const isLetter = event.key.length === 1 && !event.ctrlKey && !event.altKey && !event.metaKey && event.key !== '?'
    const action = actionFor(event, this.rows.value, this.stopRow.value) ?? (isLetter ? this.search(event) : null)
    if (!action) return
    event.preventDefault()
    this.act(action)
  }

  private search(event: KeyboardEvent): KeyAction | null {
    const isSame = event.timeStamp - this.typedAtMs < TYPING_MS
    this.typed = (isSame ? this.typed : '') + event.key
    this.typedAtMs = event.timeStamp
    const row = findTyped(this.rows.value, this.stopRow.value + (isSame ? 0 : 1), this.typed)
    return row && { does: 'focus', row }
  }

  private act(action: KeyAction): void {
    if (action.does === 'focus') {
      this.active.value = action.row.item.id
      this.focus(action.row)
    } else if (action.does === 'fold') this.fold(action.row)
    else if (action.does === 'show') this.show(action.row.item)
    else this.enter(action.row.item)
  }

  private goTo(head: NodeId): void {
    const { document: doc, run } = this.sandbox
    if (!run.isRunning.value) doc.tree.value = moveHead(doc.tree.value, head)
  }
}
