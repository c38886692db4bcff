import { useComputed } from '@preact/signals'
import type { VNode } from 'preact'

import { SCORE_ALTERNATIVES } from '../../api/score'
import { formatCount } from '../../i18n/catalogue'
import { tokens as t } from '../../i18n/tokens'
import { downloadText } from '../../state/files'
import { composeScored } from '../../tokens/compose'
import { csvOf } from '../../tokens/csv'
import { formatFigure } from '../../tokens/probability'
import { scoringOf } from '../../tokens/scoring'
import { statisticsOf } from '../../tokens/statistics'
import { ErrorAlert } from '../ErrorAlert'
import { useSandbox } from '../sandboxContext'
import { AskButton } from './AskButton'
import { TokenStrip } from './TokenStrip'

const NO_FORKS = new Map<never, never>()
const nothing = (): void => undefined

type Statistics = NonNullable<ReturnType<typeof statisticsOf>>

function Figures({ statistics, tokens }: { statistics: Statistics; tokens: number }): VNode {
  const figures = [
    [t.overTokens, statistics.tokens === tokens ? formatCount(tokens) : t.countScored(statistics.tokens, tokens)],
    [t.totalLogprob, formatFigure(statistics.logprob)],
    [t.meanSurprisal, t.bits(formatFigure(statistics.bitsPerToken))],
    [t.perCharacter, formatFigure(statistics.bitsPerCharacter)],
    [t.perByte, formatFigure(statistics.bitsPerByte)],
  ]
  return <>
    <p class="perplexity">{t.perplexity(formatFigure(statistics.perplexity))}</p>
    <dl>{figures.map(([name, figure]) => <div key={name}><dt>{name}</dt><dd>{figure}</dd></div>)}</dl>
  </>
}

/** "Score this text": how well the model foresees a text that is not the document's. */
export function ScoreText(): VNode {
  const sandbox = useSandbox()
  const text = sandbox.document.text.value
  const scoring = scoringOf(sandbox)
  const { draft, trouble } = scoring
  const result = scoring.result.value
  const items = useComputed(() => (scoring.result.value ? composeScored(scoring.result.value) : [])).value
  const statistics = useComputed(() => scoring.result.value && statisticsOf(scoring.result.value.tokens)).value

  return (
    <section class="score-text field" aria-label={t.scoreText}>
      <label for="text-to-score">{t.textToScore}</label>
      <textarea id="text-to-score" rows={3} value={draft.value} aria-describedby="score-hint" autocomplete="off" onInput={(event) => { draft.value = event.currentTarget.value }} />
      <p id="score-hint" class="hint">{t.scoreHint}</p>
      <div class="token-tools">
        <AskButton scoring={scoring} question="draft" label={t.scoreText} isOff={draft.value === ''} onAsk={(question) => void scoring.ask(question)} />
        {text !== '' && <button type="button" onClick={() => { draft.value = text }}>{t.takeDocument}</button>}
        {result && statistics && (
          <button type="button" onClick={() => downloadText(csvOf(result.tokens, SCORE_ALTERNATIVES), 'text/csv;charset=utf-8', 'tokens.csv')}>{t.downloadCsv}</button>
        )}
      </div>
      <ErrorAlert
        failure={trouble.value?.question === 'draft' ? trouble.value.failure : null} onRetry={() => void scoring.ask('draft')} onDismiss={() => { trouble.value = null }} />
      <div aria-live="polite">
        {result && scoring.asked.value !== 'draft' && (statistics
          ? <Figures statistics={statistics} tokens={result.tokens.length} />
          : <p class="hint">{result.tokens.length > 0 ? t.tooShort : t.notSpelled}</p>)}
      </div>
      {items.length > 0 && (
        <TokenStrip items={items} forks={NO_FORKS} label={t.scoredTokens} barsLabel={t.scoredAlternatives} canTake={false} isBusy={false} onTake={nothing} onStep={nothing} />
      )}
    </section>
  )
}
