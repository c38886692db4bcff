import type { VNode } from 'preact'
import { useLayoutEffect } from 'preact/hooks'

import { adoptAnswer } from '../compare/adopt'
import type { Column } from '../compare/column'
import { comparisonOf } from '../compare/comparison'
import { tipOf } from '../document/run'
import { moveHead, type DocumentNode } from '../document/tree'
import { compareWords as t } from '../i18n/compare'
import { metaOf } from '../state/runRecord'
import { printedToken } from '../tokens/printed'
import { formatPercent, probabilityOf } from '../tokens/probability'
import { shortOf } from '../tree/preview'
import { AnswerColumn } from './compare/AnswerColumn'
import { ModelChoice } from './compare/ModelChoice'
import { useSandbox } from './sandboxContext'

/** What all models wrote in a place, for the slider's voice. */
function placeWords(columns: readonly Column[], place: number, longest: number): string {
  const tokens = columns.map((column) => {
    const token = column.tokens.value[place]
    const chance = token?.logprob === null || token === undefined ? '' : ` ${formatPercent(probabilityOf(token.logprob))}`
    return `${column.model}: ${token ? printedToken(token) + chance : t.noToken}`
  })
  return [t.placeOf(place + 1, longest), ...tokens].join('; ')
}

/** One prompt, up to four models side by side. */
export function ComparePanel(): VNode {
  const sandbox = useSandbox()
  const { document: doc, settings, run, models, key } = sandbox
  const comparison = comparisonOf(sandbox)
  const columns = comparison.columns.value
  const place = comparison.place.value
  const isRunning = comparison.isRunning.value
  const list = models.list.value
  /** The ticked models that there are; to begin with, the one in use. */
  const asked = comparison.chosen.value.map((id) => list.find((model) => model.id === id)).filter((model) => model !== undefined)
  const prompt = (settings.stripsWhitespace ? doc.text.value.trimEnd() : doc.text.value) + settings.startText
  const longest = Math.max(0, ...columns.map(({ tokens }) => tokens.value.length))
  const first = columns[0]

  useLayoutEffect(() => {
    if (asked.length === 0 && list.some(({ id }) => id === settings.model)) comparison.chosen.value = [settings.model]
  }, [list])

  async function compare(): Promise<void> {
    const { status } = run
    status.value = t.comparing(asked.length)
    await comparison.start(asked, doc.tree.value, settings, key.value)
    const count = (state: string): number => comparison.columns.value.filter((column) => column.state.value === state).length
    const failed = count('failed')
    const outcome = failed > 0 ? t.comparedFailed(count('finished'), failed) : t.compared(count('finished'))
    status.value = count('stopped') > 0 ? t.stopped : outcome
    void models.refresh()
  }

  function onMain(event: MouseEvent): void {
    if (!isRunning) void compare()
    else if (event.detail < 2) comparison.stop() // the second click of a double click was meant for Compare
  }

  function onKeyDown(event: KeyboardEvent): void {
    if (event.key !== 'Escape' || !isRunning) return
    event.preventDefault()
    comparison.stop()
  }

  /** The branch that an answer has become, as long as the document is the one that it was put into. */
  function takenNode({ adopted, text }: Column): DocumentNode | null {
    const node = adopted.value === null ? undefined : doc.tree.value.nodes[adopted.value]
    return node?.kind === 'model' && text.value.startsWith(node.text) ? node : null
  }

  function takeOver(column: Column): void {
    const taken = takenNode(column)
    const { question } = comparison
    if (taken) {
      doc.tree.value = moveHead(doc.tree.value, tipOf(doc.tree.value, taken.id))
      sandbox.tab.value = 'Write'
    } else if (question.value) {
      const { text, tokens, finish, figures, request } = column
      const meta = { ...metaOf(request), ...figures.value }
      ;[doc.tree.value, column.adopted.value] = adoptAnswer(doc.tree.value, question.value, { text: text.value, tokens: tokens.value, finish: finish.value, meta })
      run.status.value = t.takenOver(column.model)
    }
  }

  return (
    <div class="compare" onKeyDown={onKeyDown}>
      <ModelChoice models={list} chosen={asked.map(({ id }) => id)} isDisabled={isRunning} onChoose={(id, isChosen) => comparison.choose(id, isChosen)} />
      <div class="compare-start">
        <button type="button" class={isRunning ? 'primary stop' : 'primary'} disabled={!isRunning && asked.length === 0} onClick={onMain}>{isRunning ? t.stop : t.compare}</button>
        <p class="compare-prompt"><span class="hint">{t.prompt}</span> {prompt === '' ? t.noPrompt : shortOf(prompt, 60)}</p>
      </div>
      {!first ? <p class="hint">{t.intro}</p> : <>
        {longest > 1 && (
          <div class="compare-place">
            <label for="compare-place">{t.place}</label>
            <input
              id="compare-place" type="range" min={0} max={longest - 1} step={1} value={place} aria-valuetext={placeWords(columns, place, longest)}
              onInput={(event) => { comparison.place.value = Number(event.currentTarget.value) }} />
            <span class="hint" aria-hidden="true">{t.placeOf(place + 1, longest)}</span>
          </div>
        )}
        <div class="answers" style={{ '--answers': columns.length }} role="group" aria-label={t.answers}>
          {columns.map((column, index) => (
            <AnswerColumn
              key={index} column={column} first={first} place={place} canTakeOver={!run.isRunning.value} isTaken={takenNode(column) !== null} isAlone={columns.length === 1}
              onPlace={(at) => { comparison.place.value = at }} onTakeOver={() => takeOver(column)} />
          ))}
        </div>
      </>}
    </div>
  )
}
