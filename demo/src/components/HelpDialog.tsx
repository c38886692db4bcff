import { Fragment, type VNode } from 'preact'

import { help as t } from '../i18n/help'
import { DialogFrame } from './DialogFrame'

const keys = (): readonly (readonly [combinations: readonly string[], what: string])[] => [
  [[`Ctrl ${t.enter}`, `⌘ ${t.enter}`], t.generate],
  [['Esc'], t.stop],
  [['Alt R'], t.redoPrevious],
  [['Alt ←', 'Alt →'], t.branches],
  [['Alt ↑', 'Alt ↓'], t.forks],
  [['Ctrl Z', '⌘ Z'], t.undo],
  [[`Ctrl ${t.shift} Z`, 'Ctrl Y'], t.redo],
  [['?'], t.help],
]

export function HelpDialog({ onClose }: { onClose: () => void }): VNode {
  return (
    <DialogFrame title={t.title} onClose={onClose}>
      <p>{t.intro}</p>
      <h3>{t.keys}</h3>
      <dl>
        {keys().map(([combinations, what]) => (
          <Fragment key={what}>
            <dt>{combinations.map((each) => <kbd key={each}>{each}</kbd>)}</dt>
            <dd>{what}</dd>
          </Fragment>
        ))}
      </dl>
      <p class="hint">{t.privacy} <a href="/docs/">{t.documentation}</a>.</p>
    </DialogFrame>
  )
}
