import type { VNode } from 'preact'
import { useLayoutEffect, useMemo, useRef } from 'preact/hooks'

import { treeWords as t } from '../i18n/tree'
import type { Row } from '../tree/rows'
import { TreeView } from '../tree/view'
import { rendered } from './rendered'
import { useSandbox } from './sandboxContext'
import { TreeRow } from './tree/TreeRow'

function elementOf(row: Row | undefined): HTMLElement | null {
  return row ? document.getElementById(`tree-${row.item.id}`) : null
}

/** Stands at the end of what is drawn of a long list, and calls `onSeen` whenever it comes into sight. */
function End({ drawn, onSeen }: { drawn: number; onSeen: () => void }): VNode {
  const element = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    const observer = new IntersectionObserver((entries) => {
      if (entries.some(({ isIntersecting }) => isIntersecting)) onSeen()
    }, { rootMargin: '400px' })
    if (element.current) observer.observe(element.current)
    return () => observer.disconnect()
  }, [drawn])
  return <div ref={element} />
}

/** All that has been written, also what the text does not show: a tree in the manner of the ARIA practices. */
export function TreePanel(): VNode {
  const sandbox = useSandbox()
  const view = useMemo(() => new TreeView(sandbox, (row) => void rendered().then(() => elementOf(row)?.focus())), [])
  const made = view.made.value
  const branches = view.branches.value

  useLayoutEffect(() => {
    elementOf(made[view.headRow.value])?.scrollIntoView({ block: 'nearest' })
    return view.follow()
  }, [])

  return (
    <div class="tree-panel">
      <p class="hint tree-head">
        {branches > 1 ? <>
          <span>{t.branches(branches)}</span>
          <span class="key path"><i class="dot" aria-hidden="true" />{t.inText}</span>
          <span class="key"><i class="dot" aria-hidden="true" />{t.aside}</span>
          <span id="tree-keys" class="keys">{t.keys}</span>
        </> : <span>{t.noForks}</span>}
      </p>
      <div class="tree" role="tree" aria-label={t.tree} aria-describedby={branches > 1 ? 'tree-keys' : undefined} onKeyDown={view.onKeyDown}>
        {made.map((row, index) => <TreeRow key={row.item.id} view={view} row={row} isStop={index === view.stopRow.value} isBusy={sandbox.run.isRunning.value} />)}
      </div>
      {!view.isWhole.value && <End drawn={made.length} onSeen={() => view.makeMore()} />}
    </div>
  )
}
