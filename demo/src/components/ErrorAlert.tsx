import type { VNode } from 'preact'

import { adviceFor, factsOf, type Failure } from '../api/failure'
import { failures as t } from '../i18n/failures'
import { classes } from './classes'
import { Icon } from './Icon'

interface Props {
  failure: Failure | null
  /** Seconds until it is tried again by itself. */
  waitS?: number
  canContinue?: boolean
  onRetry: () => void
  onResume?: () => void
  onDismiss: () => void
}

/** What a failure says, what can be done about it, and where to find it in the server's log. */
export function FailureWords({ failure, canContinue = false }: { failure: Failure; canContinue?: boolean }): VNode {
  const advice = adviceFor(failure, canContinue)
  const facts = factsOf(failure)
  return <>
    <p class="words">{failure.message}</p>
    {advice !== '' && <p class="advice">{advice}</p>}
    {facts !== '' && <p class="hint">{facts}</p>}
  </>
}

export function ErrorAlert({ failure, waitS = 0, canContinue = false, onRetry, onResume, onDismiss }: Props): VNode {
  // The countdown stands outside the alert: it would be announced every second.
  return (
    <div class={classes('trouble', failure && 'shown', waitS > 0 && 'waiting')}>
      <div role="alert">{failure && <FailureWords failure={failure} canContinue={canContinue} />}</div>
      {failure && (
        <div class="remedies" onMouseDown={(event) => event.preventDefault()}>
          {waitS > 0 && <span class="hint">{t.again(waitS)}</span>}
          {canContinue && <button type="button" class="primary" onClick={onResume}>{t.continue}</button>}
          {failure.kind !== 'file' && <button type="button" onClick={onRetry}>{failure.kind === 'unfetched' ? t.reload : t.retry}</button>}
          {waitS === 0 && <button type="button" class="quiet" aria-label={t.dismiss} title={t.dismiss} onClick={onDismiss}><Icon line="m4 4 8 8m0-8-8 8" /></button>}
        </div>
      )}
    </div>
  )
}
