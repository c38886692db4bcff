import { useComputed, useSignal } from '@preact/signals'
import type { VNode } from 'preact'
import { useLayoutEffect } from 'preact/hooks'

import { tipOf } from '../document/run'
import { moveHead, type Alternative, type NodeId } from '../document/tree'
import { tokens as t } from '../i18n/tokens'
import { isSupported } from '../settings/parameters'
import type { Sandbox } from '../state/sandbox'
import { bestFor, compose, idsBefore, type Item } from '../tokens/compose'
import { forksAt } from '../tokens/forks'
import { scoringOf, type Question, type Scoring } from '../tokens/scoring'
import { ErrorAlert } from './ErrorAlert'
import { useSandbox } from './sandboxContext'
import { AskButton } from './tokens/AskButton'
import { ScoreText } from './tokens/ScoreText'
import { TokenLegend } from './tokens/TokenLegend'
import { TokenStrip } from './tokens/TokenStrip'

/** A text of up to this many UTF-16 units is scored when the tab is opened: it costs no more than one request of many. */
const SMALL_UNITS = 2000

/** The document as items, with all that is known of their probabilities, and what may come next. */
function itemsOf({ document: doc, settings, run }: Sandbox, { scored, next }: Scoring): readonly Item[] {
  const known = [scored.value, run.echoed.value].filter((each) => each?.model === settings.model)
  const found = compose(doc.pieces.value, bestFor(doc.text.value, known))
  const after = next.value?.text === doc.text.value && next.value.model === settings.model ? next.value.token : null
  return after ? [...found, { kind: 'next', text: '', start: doc.text.value.length, token: after }] : found
}

/** The Tokens tab: the document as tokens, what may come next, and the scores of any text. */
export function TokenPanel(): VNode {
  const sandbox = useSandbox()
  const { document: doc, settings, run, models, capabilities } = sandbox
  const scoring = scoringOf(sandbox)
  const endsShown = useSignal(0)
  const items = useComputed(() => itemsOf(sandbox, scoring)).value
  const forks = useComputed(() => forksAt(doc.tree.value, itemsOf(sandbox, scoring))).value
  const isRunning = run.isRunning.value
  const hasTokens = items.some(({ token }) => token)
  const hasLogprobs = isSupported('logprobs', capabilities.value)
  const canScore = hasLogprobs && isSupported('echo', capabilities.value)
  const isReady = ['ready', 'unknown'].includes(models.current.value?.status ?? '')
  const isScored = scoring.scored.value?.text === scoring.part && scoring.scored.value.model === settings.model
  const trouble = scoring.trouble.value?.question === 'draft' ? null : scoring.trouble.value

  async function ask(question: Question): Promise<void> {
    await scoring.ask(question)
    if (question === 'next' && scoring.next.value) endsShown.value += 1
  }

  function take(at: number, alternative: Alternative): void {
    const item = items[at]
    if (!item || run.isRunning.value) return
    if (item.kind === 'recorded') void run.branch({ node: item.node, index: item.index }, alternative)
    else void run.branchFrom(item.start, idsBefore(items, at), alternative, item.token?.top)
  }

  function showBranch(branch: NodeId): void {
    if (!run.isRunning.value) doc.tree.value = moveHead(doc.tree.value, tipOf(doc.tree.value, branch))
  }

  /** When the tab is opened, and when the model is there at last. */
  useLayoutEffect(() => {
    const isSmall = doc.text.value !== '' && doc.text.value.length <= SMALL_UNITS
    if (canScore && isReady && isSmall && !run.isRunning.value && items.some(({ kind }) => kind === 'plain')) void ask('document')
  }, [canScore && isReady])

  return (
    <div class="tokens">
      <div class="token-tools">
        {hasLogprobs && doc.text.value !== '' && <>
          {canScore && <AskButton scoring={scoring} question="document" label={t.scorePrompt} title={t.scorePromptHint} isOff={isScored || isRunning} onAsk={ask} />}
          <AskButton scoring={scoring} question="next" label={t.whatNext} isOff={isRunning} onAsk={ask} />
        </>}
        {hasTokens && <TokenLegend />}
      </div>
      {!canScore && <p class="hint">{hasLogprobs ? t.noEcho : t.unsupported}</p>}
      <ErrorAlert failure={trouble?.failure ?? null} onRetry={() => { if (trouble) void ask(trouble.question) }} onDismiss={() => { scoring.trouble.value = null }} />
      {items.length === 0 ? <p class="hint">{t.empty}</p> : (hasTokens || hasLogprobs) && (
        <TokenStrip
          items={items} forks={forks} label={t.tokens} barsLabel={t.alternatives} canTake={hasLogprobs} isBusy={isRunning} endsShown={endsShown.value} onTake={take} onStep={showBranch} />
      )}
      <p class="hint token-note" aria-live="polite">{scoring.note.value}</p>
      {canScore && <ScoreText />}
    </div>
  )
}
