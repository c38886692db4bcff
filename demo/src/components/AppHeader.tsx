import type { ComponentChildren, TargetedEvent, VNode } from 'preact'
import { useMemo } from 'preact/hooks'

import { chooseLanguage, language, LANGUAGES, type Language } from '../i18n/catalogue'
import { page as t } from '../i18n/page'
import { settingsWords } from '../i18n/settings'
import { shareWords } from '../i18n/share'
import type { ModelList } from '../state/models'
import { createTheme, type Theme } from '../state/theme'
import { Icon } from './Icon'
import { ModelPicker } from './ModelPicker'
import { useSandbox } from './sandboxContext'

interface Props {
  models: ModelList
  isWide: boolean
  onHelp: () => void
  onParameters: () => void
  onShare: () => void
  onUnfetched: () => void
}

const GLOBE = 'M1.8 8h12.4M8 1.8c2.2 2 3 4 3 6.2s-.8 4.2-3 6.2c-2.2-2-3-4-3-6.2s.8-4.2 3-6.2z'
const LINK = 'M6.7 9.3a2.8 2.8 0 0 0 4 0l2.3-2.3a2.83 2.83 0 0 0-4-4l-.9.9M9.3 6.7a2.8 2.8 0 0 0-4 0L3 9a2.83 2.83 0 0 0 4 4l.9-.9'

function Mark(): VNode {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true" class="mark">
      <path class="flame" d="M16.4 4.5c.6 3.4 5.4 5.6 5.4 10.4a5.8 5.8 0 0 1-11.6.2c0-2 .9-3.3 2-4.4.3 1.2.9 1.9 1.7 2.2-.4-3 .3-6.2 2.5-8.4z" />
      <path class="dune" d="M6 25.5c3.3-2.2 6.7-2.2 10 0s6.7 2.2 10 0" />
    </svg>
  )
}

/** A list to choose from, with a picture for its name where there is little room. */
function CompactPicker({ label, icon, value, onChange, children }: {
  label: string; icon: VNode; value: string; onChange: (event: TargetedEvent<HTMLSelectElement>) => void; children: ComponentChildren
}): VNode {
  return (
    <label class="picker compact">
      <span class="sr-only">{label}</span>
      <Icon><circle cx="8" cy="8" r="6.2" />{icon}</Icon>
      <select value={value} onChange={onChange}>{children}</select>
    </label>
  )
}

export function AppHeader({ models, isWide, onHelp, onParameters, onShare, onUnfetched }: Props): VNode {
  const { settings } = useSandbox()
  const theme = useMemo(createTheme, [])

  /** Without its words, which are fetched, the page stays in the language that it is in. */
  async function onLanguage({ currentTarget: select }: TargetedEvent<HTMLSelectElement>): Promise<void> {
    await chooseLanguage(select.value as Language).catch(onUnfetched)
    select.value = language.value
  }

  return (
    <header class="masthead">
      <h1><Mark /> Sandle</h1>
      <ModelPicker models={models} chosen={settings.model} onChoose={(id) => { settings.model = id }} />
      {!isWide && <button type="button" class="parameters" aria-haspopup="dialog" onClick={onParameters}>{settingsWords.parameters}</button>}
      <nav class="aside" aria-label={t.about}>
        <button type="button" class="share-button" title={shareWords.shareHint} aria-haspopup="dialog" onClick={onShare}>
          <Icon line={LINK} /> <span class="name">{shareWords.share}</span>
        </button>
        <CompactPicker label={t.language} icon={<path d={GLOBE} />} value={language.value} onChange={onLanguage}>
          {Object.entries(LANGUAGES).map(([tag, name]) => <option key={tag} value={tag} lang={tag}>{name}</option>)}
        </CompactPicker>
        <CompactPicker label={t.theme} icon={<path class="solid" d="M8 1.8a6.2 6.2 0 0 1 0 12.4z" />} value={theme.value} onChange={(event) => { theme.value = event.currentTarget.value as Theme }}>
          {(['system', 'light', 'dark'] as const).map((name) => <option key={name} value={name}>{t[name]}</option>)}
        </CompactPicker>
        <a class="api" href="/docs/" title={t.apiHint}>{t.api}</a>
        <button type="button" class="icon" aria-label={t.help} title={t.helpHint} aria-keyshortcuts="?" aria-haspopup="dialog" onClick={onHelp}>?</button>
      </nav>
    </header>
  )
}
