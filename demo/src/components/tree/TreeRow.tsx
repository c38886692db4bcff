import { Fragment, type VNode } from 'preact'

import { treeWords as t } from '../../i18n/tree'
import type { TreeItem } from '../../tree/layout'
import { previewOf } from '../../tree/preview'
import type { Row } from '../../tree/rows'
import type { Segment } from '../../tree/segments'
import type { TreeView } from '../../tree/view'
import { emptyWords, factsOf, labelOf, linesOf } from '../../tree/words'
import { classes } from '../classes'
import { Icon, NEXT, PREVIOUS } from '../Icon'

/** A row is drawn anew only when one of these is another. */
interface Props {
  row: Row
  isStop: boolean
  isBusy: boolean
  view: TreeView
}

const PEN = 'm10.6 2.9 2.5 2.5-7.4 7.4-3.2.7.7-3.2z'
const STAR = 'M8 1.5c.6 3.9 2.6 5.9 6.5 6.5-3.9.6-5.9 2.6-6.5 6.5-.6-3.9-2.6-5.9-6.5-6.5 3.9-.6 5.9-2.6 6.5-6.5z'

/** What one author wrote, in a line. */
function Line({ segment, isAhead }: { segment: Segment; isAhead: boolean }): VNode {
  const { start, end } = previewOf(segment.text)
  return (
    <p class={classes('tree-line', segment.kind, isAhead && 'ahead')}>
      <Icon><path class={segment.kind === 'user' ? '' : 'solid'} d={segment.kind === 'user' ? PEN : STAR} /></Icon>
      {segment.text === ''
        ? <em class="hint">{emptyWords(segment)}</em>
        : <span class="tree-text" dir="auto"><span class="start">{start}</span>{end !== '' && <span class="end">{end}</span>}</span>}
      <span class="hint facts-of">{factsOf(segment).join(' · ').replace(/^\S*\//, '')}{isAhead && ` · ${t.takenBack}`}</span>
      {segment.isHead && <strong class="here">{t.here}</strong>}
    </p>
  )
}

/** "‹ 2/4 ›": which of the siblings it is and, where it is part of the text, the ways to the others. */
function Branch({ item, isBusy, view }: Pick<Props, 'isBusy' | 'view'> & { item: TreeItem }): VNode | null {
  if (!item.branch) return null
  const { at, of, previous, next } = item.branch

  function step(label: string, sibling: TreeItem | null, line: string): VNode | null {
    if (!item.isOnPath) return null
    return (
      <button
        type="button" class="quiet" tabIndex={-1} disabled={isBusy || !sibling} aria-label={label} onMouseDown={(event) => event.preventDefault()}
        onClick={(event) => {
          event.stopPropagation()
          if (sibling) view.show(sibling)
        }}>
        <Icon line={line} />
      </button>
    )
  }

  return <span class="branch">{step(t.previous(at, of), previous, PREVIOUS)}<span>{at}/{of}</span>{step(t.next(at, of), next, NEXT)}</span>
}

/** One item of the tree with the lines that lead to it. The keys are the tree's; what can be pressed here can be done with them as well. */
export function TreeRow({ row, isStop, isBusy, view }: Props): VNode {
  const { item, isExpanded, rails } = row
  /** Whether the head is in what is folded in. */
  const holdsHead = isExpanded === false && item.isOnPath && !item.hasHead

  function onDot(event: MouseEvent): void {
    if (isExpanded === null) return
    event.stopPropagation()
    view.fold(row)
  }

  return (
    <div
      id={`tree-${item.id}`} class={classes('tree-row', item.isOnPath && 'path', (item.hasHead || holdsHead) && 'head')} style={{ '--indent': item.indent }} role="treeitem"
      aria-label={labelOf(item)} aria-level={item.level} aria-posinset={item.branch?.at ?? 1} aria-setsize={item.branch?.of ?? 1} aria-expanded={isExpanded ?? undefined}
      aria-selected={item.hasHead} aria-current={item.hasHead || undefined} tabIndex={isStop ? 0 : -1} onClick={(event) => (event.shiftKey ? view.enter : view.show)(item)} onFocus={() => view.onFocus(item)}>
      {rails.map(({ column, shape, isPath }, index) => <span key={index} class={classes('tree-rail', shape, isPath && 'path')} style={{ '--column': column }} />)}
      <span class={isExpanded === null ? 'dot' : 'dot fold'} onClick={onDot}>{isExpanded !== null && <Icon line={isExpanded ? 'M4.5 8h7' : 'M4.5 8h7M8 4.5v7'} />}</span>
      <div class="tree-lines">
        {linesOf(item.segments).map(({ segment, skipped }, index) => (
          <Fragment key={index}>
            {skipped > 0 && <p class="hint">⋯ {t.more(skipped)}</p>}
            <Line segment={segment} isAhead={item.isOnPath && !segment.isVisible} />
          </Fragment>
        ))}
        {isExpanded === false && <p class="hint">⋯ {t.hidden(item.size - 1)}</p>}
      </div>
      {holdsHead && <strong class="here">{t.here}</strong>}
      <Branch item={item} isBusy={isBusy} view={view} />
    </div>
  )
}
