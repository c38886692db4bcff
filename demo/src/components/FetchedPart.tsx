import { useSignal } from '@preact/signals'
import type { VNode } from 'preact'
import { useLayoutEffect } from 'preact/hooks'

import { isServed } from '../api/asset'
import { Failure } from '../api/failure'
import { failures as t } from '../i18n/failures'
import { ErrorAlert } from './ErrorAlert'
import { fetchPart, type Part, type PartView } from './panels'

/** A panel or dialog once it is fetched; until then that it is on its way, or what can be done where it cannot be fetched. Takes one part for good: another has another `key`. */
export function FetchedPart({ part, onClose }: { part: Part; onClose: () => void }): VNode {
  const found = useSignal<PartView | null>(null)
  const failure = useSignal<Failure | null>(null)

  /** Browsers remember that a script could not be fetched; once the server can be reached, only a reload asks for it again. */
  async function load(): Promise<void> {
    failure.value = null
    try {
      found.value = await fetchPart(part)
    } catch {
      failure.value = (await isServed()) ? new Failure('unfetched', t.unfetched) : new Failure('offline', t.offline)
    }
  }

  function again(): void {
    if (failure.value?.kind === 'unfetched') window.location.reload()
    else void load()
  }

  useLayoutEffect(() => { void load() }, [])

  const View = found.value
  if (View) return <View onClose={onClose} />
  return <>
    {!failure.value && <p class="hint unfetched" aria-live="polite">{t.fetching}</p>}
    <ErrorAlert failure={failure.value} onRetry={again} onDismiss={onClose} />
  </>
}
