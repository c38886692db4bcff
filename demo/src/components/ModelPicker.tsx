import type { VNode } from 'preact'

import type { Download, Model } from '../api/wire'
import { modelWords as t } from '../i18n/settings'
import { formatBytes, formatRate, formatSeconds } from '../i18n/units'
import type { ModelList } from '../state/models'

/** The state, and while the model loads, or when it cannot, what the server says of it. */
function stateInFull({ id, status, statusMessage, download }: Model, models: ModelList): string {
  if (download) return ` – ${t.fetching(Math.floor((100 * download.doneBytes) / download.totalBytes))}`
  const seconds = status === 'loading' ? models.loadingS(id) : 0
  const state = seconds > 0 ? t.loadingFor(seconds) : status === 'unknown' ? '' : t[status]
  const isNews = status === 'loading' || status === 'error'
  return [state, isNews ? statusMessage : ''].filter((part) => part !== '').map((part) => ` – ${part}`).join('')
}

function aboutOf({ statusMessage, description, maxModelLen }: Model): string {
  return [statusMessage, description, maxModelLen ? t.context(maxModelLen) : ''].filter((part) => part !== '').join(' ')
}

/** How far the chosen model's download is: for the eye at a glance, and in figures. */
function DownloadProgress({ id, download: { doneBytes, totalBytes, bytesPerS, remainingS } }: { id: string; download: Download }): VNode {
  const figures = [t.fetched(formatBytes(doneBytes), formatBytes(totalBytes)), ...(remainingS === null ? [t.stalled] : [formatRate(bytesPerS), t.remaining(formatSeconds(remainingS))])]
  return (
    <div class="download">
      <progress aria-label={t.download(id)} max={totalBytes} value={doneBytes} />
      <span class="hint">{figures.join(' · ')}</span>
    </div>
  )
}

export function ModelPicker({ models, chosen, onChoose }: { models: ModelList; chosen: string; onChoose: (id: string) => void }): VNode {
  const list = models.list.value
  const current = models.current.value
  return (
    <div class="picker model" data-state={current?.status ?? 'unknown'}>
      <label for="model">{t.label}</label>
      <span class="choice">
        <span class="lamp" aria-hidden="true" />
        <select id="model" value={chosen} title={current ? aboutOf(current) : ''} onChange={(event) => onChoose(event.currentTarget.value)}>
          {/* A model remembered from last time is shown although the list has not come yet. */}
          {!current && <option value={chosen}>{chosen === '' ? t.enterKey : chosen}</option>}
          {list.map((model) => <option key={model.id} value={model.id}>{model.id}{stateInFull(model, models)}</option>)}
        </select>
      </span>
      {current?.download && <DownloadProgress id={current.id} download={current.download} />}
    </div>
  )
}
