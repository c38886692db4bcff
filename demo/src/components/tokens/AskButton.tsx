import type { VNode } from 'preact'

import { tokens as t } from '../../i18n/tokens'
import type { Question, Scoring } from '../../tokens/scoring'

interface Props {
  scoring: Scoring
  question: Question
  label: string
  title?: string
  isOff: boolean
  onAsk: (question: Question) => void
}

/** Asks a question and, until the answer has come, takes it back: one button, so that the focus on it is not lost. */
export function AskButton({ scoring, question, label, title, isOff, onAsk }: Props): VNode {
  const asked = scoring.asked.value
  const isAsking = asked === question
  const cannot = !isAsking && (isOff || asked !== null)

  function press(): void {
    if (isAsking) scoring.cancel()
    else if (!cannot) onAsk(question)
  }

  return <button type="button" title={title} aria-disabled={cannot || undefined} aria-busy={isAsking} onClick={press}>{isAsking ? t.cancel : label}</button>
}
