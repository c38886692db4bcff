import { computed, signal } from '@preact/signals-core'

import { buildRequest } from '../api/request'
import type { Model } from '../api/wire'
import { textOf, type DocumentTree, type NodeId } from '../document/tree'
import type { Settings } from '../settings/settings'
import type { Sandbox } from '../state/sandbox'
import { Column, type Ask } from './column'

/** So many models are asked at once, at most. */
export const MOST = 4

/** What was asked, and from where in the document: where an answer that is taken over belongs. */
export interface Question {
  base: NodeId
  text: string
  startText: string
  restartText: string
}

/** One prompt, several models: each answers for itself. */
export class Comparison {
  /** The models to ask, in the order of the columns. */
  readonly chosen = signal<string[]>([])
  readonly columns = signal<readonly Column[]>([])
  readonly question = signal<Question | null>(null)
  readonly isRunning = computed(() => this.columns.value.some((column) => column.isRunning.value))
  /** The token looked at in all columns, counted from 0. */
  readonly place = signal(0)

  constructor(private readonly ask?: Ask) {}

  choose(id: string, isChosen: boolean): void {
    const others = this.chosen.value.filter((each) => each !== id)
    this.chosen.value = isChosen ? [...others, id].slice(0, MOST) : others
  }

  /** Asks every model with the settings that it takes. Settles once all answers are over. */
  async start(models: readonly Model[], tree: DocumentTree, settings: Settings, key: string): Promise<void> {
    if (this.isRunning.value) return
    const whole = textOf(tree)
    const text = settings.stripsWhitespace ? whole.trimEnd() : whole
    const { startText, restartText } = settings
    this.question.value = { base: tree.head, text, startText, restartText }
    this.place.value = 0
    this.columns.value = models.slice(0, MOST).map(({ id, capabilities }) =>
      new Column(buildRequest(alone(settings, id), text + startText, capabilities), this.ask))
    await Promise.all(this.columns.value.map((column) => column.run(key)))
  }

  stop(): void {
    for (const column of this.columns.value) column.stop()
  }
}

/** The settings for one answer of one model, without the prompt in it. */
function alone(settings: Settings, model: string): Settings {
  return { ...settings, model, echo: false, numbers: { ...settings.numbers, n: 1 } }
}

const comparisons = new WeakMap<Sandbox, Comparison>()

/** The sandbox's comparison: it goes on while the reader looks at another tab. */
export function comparisonOf(sandbox: Sandbox): Comparison {
  let comparison = comparisons.get(sandbox)
  if (!comparison) comparisons.set(sandbox, comparison = new Comparison())
  return comparison
}
