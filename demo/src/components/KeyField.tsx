import { useSignal, type Signal } from '@preact/signals'
import type { VNode } from 'preact'

import { keyWords as t } from '../i18n/settings'
import type { KeyPlace } from '../state/apiKey'
import type { ModelList } from '../state/models'
import { Icon } from './Icon'

interface Props {
  apiKey: Signal<string>
  place: Signal<KeyPlace>
  models: ModelList
  onUsage: () => void
}

const PLACES: readonly KeyPlace[] = ['memory', 'tab', 'device']

function noteOf(key: string, { list, failure, isFetching }: ModelList): string {
  if (key === '') return t.printed
  if (failure.value) return failure.value.message
  if (list.value.length === 0) return isFetching.value ? t.asking : t.noModel
  return t.models(list.value.length)
}

export function KeyField({ apiKey, place, models, onUsage }: Props): VNode {
  const isShown = useSignal(false)
  const failure = models.failure.value
  const type = (isShown.value ? 'text' : 'password') as 'password' // the two have the same attributes, which the types of JSX do not see

  function onSubmit(event: Event): void {
    event.preventDefault()
    void models.refresh()
  }

  return (
    <form class="field key" autocomplete="off" onSubmit={onSubmit}>
      <label for="field-key">{t.label}</label>
      <div class="with-button">
        <input
          id="field-key" type={type} value={apiKey.value} autocomplete="off" autocapitalize="off" spellcheck={false}
          aria-invalid={failure?.status === 401 || undefined} aria-describedby="field-key-note"
          onInput={(event) => { apiKey.value = event.currentTarget.value.trim() } /* a pasted key often brings a space or a newline */} />
        <button type="button" class="quiet" aria-pressed={isShown.value} aria-label={t.show} title={t.show} onClick={() => { isShown.value = !isShown.value }}>
          <Icon line="M1.5 8s2.4-4.5 6.5-4.5S14.5 8 14.5 8s-2.4 4.5-6.5 4.5S1.5 8 1.5 8Z">
            <circle cx="8" cy="8" r="2" />
            {isShown.value && <path d="m2.5 13.5 11-11" />}
          </Icon>
        </button>
      </div>
      <span class={failure ? 'hint bad' : 'hint'}>
        <span id="field-key-note">{noteOf(apiKey.value, models)}</span>{' '}
        {failure && failure.status !== 401 && <button class="link">{t.tryAgain}</button>}{' '}
        {models.list.value.length > 0 && <button type="button" class="link" aria-haspopup="dialog" title={t.usageHint} onClick={onUsage}>{t.usage}</button>}
      </span>
      <fieldset class="places">
        <legend id="key-places">{t.keep}</legend>
        {PLACES.map((value) => (
          <label key={value}>
            <input
              type="radio" name="key-place" value={value} checked={place.value === value} aria-labelledby={`key-places key-place-${value}`}
              onChange={() => { place.value = value }} />{' '}
            <span id={`key-place-${value}`}>{t[value]}</span>
          </label>
        ))}
      </fieldset>
    </form>
  )
}
