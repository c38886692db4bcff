import type { VNode } from 'preact'

import type { Fork } from '../../document/run'
import type { NodeId } from '../../document/tree'
import { tokens as t } from '../../i18n/tokens'

interface Props {
  fork: Fork
  isSmall?: boolean
  onStep: (branch: NodeId) => void
}

/**
 * "‹ 2/4 ›": which of the continuations is shown. The small one, between tokens, is for the pointer; the same stands beside the bars.
 * A button at the end of the row stays a button, so that the focus on it is not lost.
 */
export function ForkMark({ fork: { at, branches }, isSmall = false, onStep }: Props): VNode {
  function step(by: -1 | 1): VNode {
    const branch = branches[at + by]
    return (
      <button
        type="button" class={by < 0 ? 'quiet before' : 'quiet after'} tabIndex={isSmall ? -1 : undefined} aria-label={t.showBranch(at + 1 + by, branches.length)}
        aria-disabled={branch === undefined || undefined} onClick={() => { if (branch !== undefined) onStep(branch) }}>
        {by < 0 ? '‹' : '›'}
      </button>
    )
  }

  return <span class={isSmall ? 'fork-mark small' : 'fork-mark'} aria-hidden={isSmall || undefined}>{step(-1)}{step(1)}<span class="count">{at + 1}/{branches.length}</span></span>
}
