import { signal } from '@preact/signals-core'

import { Failure } from '../api/failure'
import { specialTokens } from '../api/request'
import { score, type Scored } from '../api/score'
import type { Token } from '../document/tree'
import { tokens as t } from '../i18n/tokens'
import type { Sandbox } from '../state/sandbox'
import { barsOf } from './bars'
import { endToScore } from './compose'
import { printed } from './printed'
import { formatPercent } from './probability'

/** What is being asked: the document's scores, the token after its end, or the scores of the text in the box. */
export type Question = 'document' | 'next' | 'draft'

/** An answer, with what it was about: it holds for that model and as long as the text stands. */
interface About {
  model: string
  text: string
}

/**
 * Asks the model about texts without writing anything, one question at a time. One for each sandbox: what was found is still there
 * when the tab is opened again.
 */
export class Scoring {
  readonly scored = signal<(Scored & { model: string }) | null>(null)
  readonly next = signal<(About & { token: Token }) | null>(null)
  readonly draft = signal('')
  readonly result = signal<Scored | null>(null)
  readonly asked = signal<Question | null>(null)
  readonly trouble = signal<{ question: Question; failure: Failure } | null>(null)
  /** What came of the last question about the document; for the live region. */
  readonly note = signal('')
  private controller: AbortController | null = null

  constructor(private readonly sandbox: Sandbox) {}

  /** The part of the document that is to be scored. */
  get part(): string {
    const { document: doc, settings } = this.sandbox
    return doc.text.value.slice(0, endToScore(doc.pieces.value, settings.model))
  }

  cancel(): void {
    this.controller?.abort()
  }

  async ask(question: Question): Promise<void> {
    if (this.controller) return
    this.controller = new AbortController()
    this.asked.value = question
    this.trouble.value = null
    this.note.value = ''
    try {
      this.note.value = await this.answer(question, this.controller.signal)
    } catch (error) {
      if (!this.controller.signal.aborted) this.trouble.value = { question, failure: asFailure(error) }
    } finally {
      this.controller = null
      this.asked.value = null
    }
  }

  /** Gives what to say of the answer. */
  private async answer(question: Question, signal: AbortSignal): Promise<string> {
    const { document: doc, settings: { model }, run } = this.sandbox
    const text = doc.text.value
    if (question === 'next') {
      const token = await run.probe(signal)
      this.next.value = token && { model, text, token }
      const best = token && barsOf(token, false)[0]
      return best ? t.askedNext(printed(best.alternative.text), formatPercent(best.probability)) : t.nothingNext
    }
    const scored = await this.score(question, signal)
    if (question === 'draft') {
      this.result.value = scored
      return '' // the figures speak for themselves
    }
    this.scored.value = { ...scored, model }
    return scored.tokens.length > 0 ? t.scored(scored.tokens.length) : t.notSpelled
  }

  /** The document with the special tokens that it is sent with; any other text with the tokenizer's own. */
  private score(question: Question, signal: AbortSignal): Promise<Scored> {
    const { settings, key, capabilities } = this.sandbox
    const text = question === 'draft' ? this.draft.value : this.part
    return score(settings.model, text, key.value, signal, capabilities.value, question === 'draft' ? {} : specialTokens(settings, text))
  }
}

function asFailure(error: unknown): Failure {
  return error instanceof Failure ? error : new Failure('malformed', error instanceof Error ? error.message : String(error))
}

const kept = new WeakMap<Sandbox, Scoring>()

export function scoringOf(sandbox: Sandbox): Scoring {
  let scoring = kept.get(sandbox)
  if (!scoring) kept.set(sandbox, scoring = new Scoring(sandbox))
  return scoring
}
