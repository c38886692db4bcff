import type { VNode } from 'preact'

import { tokens as t } from '../../i18n/tokens'
import { STEPS } from '../../tokens/probability'

/** Each step is named by its lower end, the last by its upper one. */
function nameOf(step: number): string {
  return step === STEPS.length - 1 ? `<${(STEPS[step - 1] ?? 0) * 100}` : `≥${(STEPS[step] ?? 0) * 100}`
}

/** What the colours say. */
export function TokenLegend(): VNode {
  return (
    <div class="token-legend hint">
      <span>{t.legend}</span>
      <ul>{STEPS.map((_, step) => <li key={step} class={`p${step}`}>{nameOf(step)}</li>)}</ul>
    </div>
  )
}
