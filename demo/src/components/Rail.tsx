import type { RefObject, VNode } from 'preact'

import { settingsWords as t } from '../i18n/settings'
import type { Commands } from '../state/commands'
import type { Part } from './panels'
import { SettingsPanel } from './SettingsPanel'

interface Props {
  isWide: boolean
  sheet: RefObject<HTMLDialogElement | null>
  commands: Commands
  onDialog: (part: Part) => void
}

/** The settings beside the text or, where there is no room, in a dialog. */
export function Rail({ isWide, sheet, commands, onDialog }: Props): VNode {
  if (isWide) return <aside class="rail" aria-label={t.parameters}><SettingsPanel commands={commands} onDialog={onDialog} /></aside>
  return (
    <dialog ref={sheet} class="rail" aria-label={t.parameters}>
      <form method="dialog" class="sheet-head"><h2>{t.parameters}</h2><button class="primary">{t.done}</button></form>
      <SettingsPanel commands={commands} onDialog={onDialog} />
    </dialog>
  )
}
