import type { VNode } from 'preact'

import type { Model } from '../../api/wire'
import { MOST } from '../../compare/comparison'
import { compareWords as t } from '../../i18n/compare'
import { modelWords } from '../../i18n/settings'

interface Props {
  models: readonly Model[]
  chosen: readonly string[]
  isDisabled: boolean
  onChoose: (id: string, isChosen: boolean) => void
}

/** Lists up to this length are shown whole. */
const SHORT = 8

/** Which models to ask. Those at hand stand in front; a long list of others folds out. */
export function ModelChoice({ models, chosen, isDisabled, onChoose }: Props): VNode {
  const isAtHand = ({ id, status }: Model): boolean => models.length <= SHORT || status === 'ready' || status === 'loading' || chosen.includes(id)

  function list(group: readonly Model[]): VNode {
    return (
      <div class="models-list">
        {group.map(({ id, status }) => {
          const isChosen = chosen.includes(id)
          return (
            <span key={id} class="models-one">
              <label class="check">
                <input
                  type="checkbox" checked={isChosen} disabled={isDisabled || (chosen.length >= MOST && !isChosen)} onChange={(event) => onChoose(id, event.currentTarget.checked)} />{' '}
                <span>{id}</span>
              </label>{' '}
              {status !== 'unknown' && status !== 'ready' && <span class="hint">{modelWords[status]}</span>}
            </span>
          )
        })}
      </div>
    )
  }

  const others = models.filter((model) => !isAtHand(model))
  return (
    <fieldset class="models">
      <legend>{t.models} <span class="hint">{t.upTo(MOST)}</span></legend>
      <div class="models-group">{list(models.filter(isAtHand))}</div>
      {others.length > 0 && <details class="models-group"><summary class="hint">{t.moreModels(others.length)}</summary>{list(others)}</details>}
      {models.length === 0 && <p class="hint">{t.noModels}</p>}
    </fieldset>
  )
}
