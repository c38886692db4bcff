import type { VNode } from 'preact'

import type { Column } from '../../compare/column'
import { chanceOf, compareAnswers, type Piece } from '../../compare/difference'
import { runs } from '../../i18n/actions'
import { compareWords as t } from '../../i18n/compare'
import { failures } from '../../i18n/failures'
import { printed, printedToken } from '../../tokens/printed'
import { formatPercent, probabilityOf } from '../../tokens/probability'
import { FailureWords } from '../ErrorAlert'
import { SlashedName } from '../SlashedName'

interface Props {
  column: Column
  first: Column
  place: number
  canTakeOver: boolean
  isTaken: boolean
  isAlone: boolean
  onPlace: (at: number) => void
  onTakeOver: () => void
}

const percent = (logprob: number | null): string => (logprob === null ? t.noChance : formatPercent(probabilityOf(logprob)))

function stateOf(column: Column): string {
  const state = column.state.value
  if (state === 'writing' && column.place.value > 0) return runs.queued(column.place.value)
  return state === 'waiting' ? failures.again(column.waitS.value) : t[state]
}

/** How far the answer is from the first one. */
function measureOf({ column, first, isAlone }: Props, pieces: readonly Piece[]): string {
  if (isAlone || column.text.value === '') return ''
  if (column === first) return t.first
  const count = pieces.filter(({ differs }) => differs).length
  if (pieces.some(({ place }) => place !== null)) return count > 0 ? t.differs(count, pieces.length) : t.sameTokens(pieces.length)
  return count > 0 ? t.differsWithout : t.same
}

function figuresOf({ figures, tokens, summary }: Column): string {
  const count = figures.value.usage?.completionTokens ?? tokens.value.length
  return [count > 0 ? t.tokens(count) : '', summary.value].filter((part) => part !== '').join(' · ')
}

/** The token in the place that is looked at, and what this model gave the first column's instead. */
function Here({ column, first, place, piece }: Pick<Props, 'column' | 'first' | 'place'> & { piece: Piece | undefined }): VNode {
  const token = column.tokens.value[place]
  if (!token || !piece) return <p class="answer-here">{column.tokens.value.length > 0 && <span class="hint">{t.noToken}</span>}</p>
  const wanted = first.tokens.value[place]
  const chance = piece.differs && wanted ? chanceOf(wanted, token) : null
  return (
    <p class="answer-here">
      <code class={piece.differs ? 'differs' : ''}>{printedToken(token)}</code> <strong>{percent(token.logprob)}</strong>{' '}
      <span class="hint">{wanted && chance !== null && t.gave(printed(wanted.shown ?? wanted.text), percent(chance))}</span>
    </p>
  )
}

/** One model's answer beside the first one's. */
export function AnswerColumn(props: Props): VNode {
  const { column, first, place, canTakeOver, isTaken, onPlace, onTakeOver } = props
  const text = column.text.value
  const failure = column.failure.value
  const isRunning = column.isRunning.value
  const pieces = compareAnswers({ text: first.text.value, tokens: first.tokens.value }, { text, tokens: column.tokens.value }, !first.isRunning.value)
  const measure = measureOf(props, pieces)
  const figures = figuresOf(column)

  function onPoint(event: Event): void {
    const at = (event.target as HTMLElement).dataset.place
    if (at !== undefined) onPlace(Number(at))
  }

  return (
    <section class="answer" aria-label={column.model} aria-busy={isRunning}>
      <header>
        <h2><SlashedName name={column.model} /></h2>
        <span class={column.state.value === 'failed' ? 'hint bad' : 'hint'}>{stateOf(column)}</span>
      </header>
      <Here column={column} first={first} place={place} piece={pieces[place]} />
      <div class="answer-body">
        {failure && <div class="answer-failure"><FailureWords failure={failure} /></div>}
        {text === '' && column.state.value === 'finished' ? <p class="hint"><em>{t.wroteNothing}</em></p> : (
          // Pointing is one way to choose a token; the slider above is the other.
          <p class="answer-text" dir="auto" onClick={onPoint} onPointerOver={onPoint}>
            {pieces.map((piece, index) => {
              const Tag = piece.differs ? 'mark' : 'span'
              const title = piece.place === null ? undefined : percent(piece.logprob)
              return <Tag key={index} class={piece.place === place ? 'at' : ''} data-place={piece.place ?? undefined} title={title}>{index === 0 ? piece.text.trimStart() : piece.text}</Tag>
            })}
          </p>
        )}
      </div>
      <footer>
        {measure !== '' && <p class="hint">{measure}</p>}
        {figures !== '' && <p class="hint">{figures}</p>}
        {!isRunning && text !== '' && (
          <button type="button" disabled={!canTakeOver} title={isTaken ? undefined : t.takeOverHint(column.model)} onClick={onTakeOver}>
            {isTaken ? t.show : t.takeOver}<span class="sr-only">: {column.model}</span>
          </button>
        )}
      </footer>
    </section>
  )
}
