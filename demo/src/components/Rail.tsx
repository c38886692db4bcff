import type { RefObject, VNode } from 'preact'

import { settingsWords as t } from '../i18n/settings'
import type { Commands } from '../state/commands'
import { SettingsPanel } from './SettingsPanel'

interface Props {
  isWide: boolean
  sheet: RefObject<HTMLDialogElement | null>
  commands: Commands
  onUsage: () => void
}

/** The settings beside the text or, where there is no room, in a dialog. */
export function Rail({ isWide, sheet, commands, onUsage }: Props): VNode {
  if (isWide) return <aside class="rail" aria-label={t.parameters}><SettingsPanel commands={commands} onUsage={onUsage} /></aside>
  return (
    <dialog ref={sheet} class="rail" aria-label={t.parameters}>
      <form method="dialog" class="sheet-head"><h2>{t.parameters}</h2><button class="primary">{t.done}</button></form>
      <SettingsPanel commands={commands} onUsage={onUsage} />
    </dialog>
  )
}
