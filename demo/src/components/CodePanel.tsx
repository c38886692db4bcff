import { useSignal } from '@preact/signals'
import type { VNode } from 'preact'

import { buildRequest } from '../api/request'
import { curlSnippet, pythonSnippet } from '../code/snippets'
import { codeWords as t } from '../i18n/code'
import { copyText } from '../state/clipboard'
import { useSandbox } from './sandboxContext'

const LANGUAGES = ['curl', 'Python'] as const

/** The request that Generate would send, as code. */
export function CodePanel(): VNode {
  const { document: doc, settings, capabilities } = useSandbox()
  const language = useSignal<'curl' | 'Python'>('curl')
  const copied = useSignal('')
  const text = settings.stripsWhitespace ? doc.text.value.trimEnd() : doc.text.value
  const snippet = language.value === 'curl' ? curlSnippet : pythonSnippet
  const code = snippet(buildRequest(settings, text + settings.startText, capabilities.value), window.location.origin)

  async function copy(): Promise<void> {
    copied.value = ''
    copied.value = (await copyText(code)) ? t.copied : t.selectIt
  }

  return (
    <div class="code">
      <div class="tools">
        <div class="switch" role="group" aria-label={t.language}>
          {LANGUAGES.map((each) => <button key={each} type="button" aria-pressed={language.value === each} onClick={() => { language.value = each }}>{each}</button>)}
        </div>
        <button type="button" onClick={copy}>{t.copy}</button>
        <span class="hint" aria-live="polite">{copied.value}</span>
      </div>
      <pre tabIndex={0} aria-label={t.request(language.value)}>{code}</pre>
      <p class="hint">{t.keyFirst} <code>export SANDLE_API_KEY=…</code> {t.keyNever}</p>
    </div>
  )
}
