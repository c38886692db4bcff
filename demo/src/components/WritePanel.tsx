import { useComputed } from '@preact/signals'
import type { VNode } from 'preact'

import { actions as t } from '../i18n/actions'
import { PromptEditor } from './PromptEditor'
import { useSandbox } from './sandboxContext'

/** The Write tab. It stays while others are looked at, so that the caret and the place in the text do. */
export function WritePanel({ isShown }: { isShown: boolean }): VNode {
  const { document: doc, settings, run } = useSandbox()
  const endsWithSpace = useComputed(() => !run.isRunning.value && !settings.stripsWhitespace && settings.addsSpecialTokens && /\s$/.test(doc.text.value)).value

  return (
    <div id="panel-Write" class="panel" role="tabpanel" aria-labelledby="tab-Write" style={isShown ? '' : 'display: none'}>
      <PromptEditor document={doc} isRunning={run.isRunning} describedBy={endsWithSpace ? 'space-warning' : undefined} />
      {endsWithSpace && <p id="space-warning" class="warning">{t.endsWithSpace}</p>}
    </div>
  )
}
