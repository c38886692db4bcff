import type { ComponentChildren, TargetedEvent, VNode } from 'preact'
import { useRef } from 'preact/hooks'

import { chatWords } from '../i18n/chat'
import { settingsWords as t } from '../i18n/settings'
import { isSupported, NUMBER_PARAMETERS, type NumberParameter } from '../settings/parameters'
import type { Commands } from '../state/commands'
import { EscapedField } from './EscapedField'
import { KeyField } from './KeyField'
import { NumberField } from './NumberField'
import type { Part } from './panels'
import { PresetField } from './PresetField'
import { useSandbox } from './sandboxContext'
import { SessionField } from './SessionField'
import { StopSequences } from './StopSequences'

function Check({ id, label, title, isOn, onChange }: { id?: string; label: string; title?: string; isOn: boolean; onChange: (isOn: boolean) => void }): VNode {
  return <label class="check" title={title}><input id={id} type="checkbox" checked={isOn} onChange={(event) => onChange(event.currentTarget.checked)} /> <span>{label}</span></label>
}

/** The numbers of one group, as far as the chosen model takes them; nothing where it takes none. */
function NumberGroup({ group, title, isOpen = true, children }: { group: NumberParameter['group']; title: string; isOpen?: boolean; children?: ComponentChildren }): VNode | null {
  const { settings, models, capabilities } = useSandbox()
  const parameters = NUMBER_PARAMETERS.filter((each) => each.group === group && isSupported(each.capability, capabilities.value))
  if (parameters.length === 0) return null

  /** Nothing beyond the model's context is worth sliding to. */
  function sliderMax({ field, sliderMax: max }: NumberParameter): number | null {
    return field === 'max_tokens' && max !== null ? Math.min(max, models.current.value?.maxModelLen ?? max) : max
  }

  return (
    <details open={isOpen}>
      <summary>{title}</summary>
      {parameters.map((parameter) => (
        <NumberField
          key={parameter.field} parameter={parameter} sliderMax={sliderMax(parameter)} value={settings.numbers[parameter.field]}
          onValue={(value) => { settings.numbers = { ...settings.numbers, [parameter.field]: value } }} />
      ))}
      {children}
    </details>
  )
}

/** Everything that shapes a request. Hides what the chosen model cannot do. */
export function SettingsPanel({ commands, onDialog }: { commands: Commands; onDialog: (part: Part) => void }): VNode {
  const { document: doc, settings, models, key, keyPlace, run, sessions, ownPresets, stopDraft, capabilities } = useSandbox()
  const picker = useRef<HTMLInputElement>(null)
  const isRunning = run.isRunning.value
  const has = (capability: string): boolean => capabilities.value?.includes(capability) ?? false

  function onFile({ currentTarget: input }: TargetedEvent<HTMLInputElement>): void {
    const file = input.files?.[0]
    if (file) void commands.importFile(file)
    input.value = '' // so that the same file can be chosen again
  }

  return (
    <div class="settings">
      <KeyField apiKey={key} place={keyPlace} models={models} onUsage={() => onDialog('Usage')} />
      <SessionField sessions={sessions} isRunning={isRunning} />
      <PresetField own={ownPresets} document={doc} settings={settings} isRunning={isRunning} onChoose={(preset) => commands.applyPreset(preset)} />
      {has('chat') && <button type="button" title={chatWords.openHint} aria-haspopup="dialog" disabled={isRunning} onClick={() => onDialog('Chat')}>{chatWords.open}</button>}
      <NumberGroup group="basic" title={t.answer}>
        <StopSequences stops={settings.stop} draft={stopDraft} onStops={(stops) => { settings.stop = stops }} />
      </NumberGroup>
      <NumberGroup group="sampling" title={t.sampling}>
        {has('echo') && <Check id="field-echo" label={t.echo} title={t.echoHint} isOn={settings.echo} onChange={(isOn) => { settings.echo = isOn }} />}
      </NumberGroup>
      <NumberGroup group="penalties" title={t.penalties} isOpen={false} />
      <details open>
        <summary>{t.aroundText}</summary>
        <EscapedField id="field-start" label={t.startText} hint={t.startTextHint} text={settings.startText} onText={(text) => { settings.startText = text }} />
        <EscapedField id="field-restart" label={t.restartText} hint={t.restartTextHint} text={settings.restartText} onText={(text) => { settings.restartText = text }} />
        {has('suffix') && (
          <div class="field">
            <label for="field-suffix">{t.suffix}</label>
            <textarea
              id="field-suffix" rows={2} spellcheck={false} aria-describedby="field-suffix-hint" value={settings.suffix}
              onInput={(event) => { settings.suffix = event.currentTarget.value }} />
            <span id="field-suffix-hint" class="hint">{t.suffixHint}</span>
          </div>
        )}
        {(has('chat') || !settings.addsSpecialTokens) && (
          <Check id="field-add_special_tokens" label={t.specialTokens} title={t.specialTokensHint} isOn={settings.addsSpecialTokens} onChange={(isOn) => { settings.addsSpecialTokens = isOn }} />
        )}
        <Check label={t.strip} isOn={settings.stripsWhitespace} onChange={(isOn) => { settings.stripsWhitespace = isOn }} />
      </details>
      <div class="files">
        <button type="button" onClick={() => commands.exportFile()}>{t.export}</button>
        <button type="button" disabled={isRunning} onClick={() => picker.current?.click()}>{t.import}</button>
        <input ref={picker} type="file" accept="application/json,.json" hidden aria-hidden="true" tabIndex={-1} onChange={onFile} />
        <span class="hint">{t.filesHint}</span>
      </div>
    </div>
  )
}
