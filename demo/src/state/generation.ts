import { batch, computed, signal, type Signal } from '@preact/signals-core'

import { complete } from '../api/client'
import { Failure } from '../api/failure'
import { probe } from '../api/probe'
import { buildRequest, type CompletionRequest } from '../api/request'
import { addPick, isPick, pickedToken, splitAtToken, type TokenPlace } from '../document/branch'
import { nodeAt } from '../document/edit'
import { compareReplay, lastRun, type LastRun, type Replayed } from '../document/replay'
import { appendOutput, beginRun, endRun, previousRunBase, trimmedBase } from '../document/run'
import { addedBy } from '../document/spell'
import { moveHead, textOf, type Alternative, type DocumentTree, type NodeId, type Token } from '../document/tree'
import { runs } from '../i18n/actions'
import type { Settings } from '../settings/settings'
import { Attempts } from './attempts'
import { batchByFrame } from './frames'
import { Gathering } from './gathering'
import { RunMemory } from './runMemory'
import { metaOf, RunRecord } from './runRecord'
import type { SandboxDocument } from './sandboxDocument'

interface Parts {
  document: SandboxDocument
  settings: Settings
  key: Signal<string>
  capabilities: () => readonly string[] | null
  /** Called when a run has learnt something about the model's state. */
  onModelNews: () => void
}

/** Where a run starts. After a picked token there is no start text, and the text before is taken as it is. */
interface Start {
  base: NodeId
  startText: string
}

/** Runs of the model on the document, one at a time. */
export class Generation {
  private readonly attempts = new Attempts()
  readonly failure = this.attempts.failure
  readonly status = this.attempts.status
  readonly waitS = this.attempts.waitS
  readonly isRunning = this.attempts.isRunning
  /** Whether the failed run left text that can be continued. */
  readonly canContinue = signal(false)
  /** Figures of the last run, for the eye only. */
  readonly detail = signal('')
  /** The last prompt that the server has echoed, with its tokens: the text's beginning as long as the text still begins so. */
  readonly echoed = signal<{ model: string; text: string; tokens: readonly Token[] } | null>(null)
  /** What became of the last replay. */
  readonly replayed = signal<Replayed | null>(null)
  /** The last run on the path can be asked to write the same again. */
  readonly canReplay = computed(() => {
    const params = lastRun(this.tree)?.meta.params
    return params !== undefined && (typeof params.seed === 'number' || params.temperature === 0)
  })
  private readonly memory = new RunMemory()
  /** How to try again what has failed, and the head that it left: an edit since then is respected by Retry. */
  private failed: { head: NodeId; again: () => Promise<void> } | null = null

  constructor(private readonly parts: Parts) {}

  generate(): Promise<void> {
    return this.start({ base: this.tree.head, startText: this.parts.settings.startText })
  }

  /** Another answer in place of the last one, which stays as a branch. */
  async redoPrevious(): Promise<void> {
    const base = previousRunBase(this.tree)
    if (base !== null) await this.start({ base, startText: this.parts.settings.startText })
  }

  /** What failed again: from where it began or, if the text has been changed since, from what it is now. */
  async retry(): Promise<void> {
    if (this.waitS.value > 0) this.attempts.skipWait()
    else if (this.failed?.head === this.tree.head) await this.failed.again()
    else await this.generate()
  }

  /** Goes on from the text that an interrupted run left. */
  resume(): Promise<void> {
    return this.start({ base: this.tree.head, startText: '' })
  }

  /** Puts an alternative in the place of a token and goes on from there; what stood there stays as a sibling. */
  async branch(place: TokenPlace, alternative: Alternative): Promise<void> {
    const { tokens, meta } = this.tree.nodes[place.node] ?? { tokens: [], meta: null }
    const token = tokens[place.index]
    if (this.isRunning.value || !token) return
    const { model } = this.parts.settings
    const ids = this.memory.idsBefore(this.tree, place.node, place.index, model)
    const [tree, parent] = splitAtToken(this.tree, place)
    await this.pick(tree, parent, pickedToken(alternative, addedBy(tokens.slice(0, place.index), alternative), token.top), ids, meta?.model ?? model)
  }

  /** The same in a text that has been scored, `offset` UTF-16 units after its beginning; `ids` are those of all tokens before, `top` what was likely there. */
  async branchFrom(offset: number, ids: number[] | null, alternative: Alternative, top: readonly Alternative[] = []): Promise<void> {
    if (this.isRunning.value) return
    const [tree, parent] = nodeAt(this.tree, offset)
    await this.pick(tree, parent, pickedToken(alternative, addedBy([], alternative), top), ids, this.parts.settings.model)
  }

  /** What the model thinks comes next. Nothing is written. */
  probe(signal: AbortSignal): Promise<Token | null> {
    const { document: doc, settings, key, capabilities } = this.parts
    return probe(settings, doc.text.value, key.value, signal, capabilities())
  }

  /** Asks the last run's question again, and notes whether the answer is the same. Nothing is written. */
  async replay(): Promise<void> {
    const last = this.canReplay.value && !this.isRunning.value ? lastRun(this.tree) : null
    if (!last) return
    this.replayed.value = null
    this.detail.value = ''
    await this.attempts.run(runs.replaying, async (signal) => {
      try {
        const found = compareReplay(last, await this.ask(last, signal))
        this.replayed.value = found
        this.status.value = found.identical ? runs.identical : runs[found.unit === 'token' ? 'divergedAtToken' : 'divergedAtCharacter'](found.at + 1, found.expected, found.got)
      } catch (error) {
        this.noteFailure(false, () => this.replay())
        throw error
      }
    })
  }

  stop(): void {
    this.attempts.stop()
  }

  dismiss(): void {
    this.failure.value = null
  }

  /** Something that went wrong elsewhere, in the place where the reader looks for it. */
  complain(message: string): void {
    this.canContinue.value = false
    this.failure.value = new Failure('file', message)
  }

  private get tree(): DocumentTree {
    return this.parts.document.tree.value
  }

  private set tree(tree: DocumentTree) {
    this.parts.document.tree.value = tree
  }

  private async start(start: Start): Promise<void> {
    this.detail.value = ''
    this.replayed.value = null
    await this.attempts.run(runs.generating, (signal) => this.attempt(start, signal))
  }

  private async pick(tree: DocumentTree, parent: NodeId, token: Token, ids: number[] | null, model: string): Promise<void> {
    const [grown, id] = addPick(tree, parent, token, model)
    const run = grown.nodes[id]?.run
    if (ids && run) this.memory.note(run, this.parts.settings.model, ids, [[token]])
    this.tree = moveHead(grown, id)
    await this.start({ base: id, startText: '' })
  }

  private async attempt(start: Start, signal: AbortSignal): Promise<void> {
    const { settings, onModelNews } = this.parts
    const record = this.begin(start)
    try {
      await this.follow(record, signal)
      this.close(record, settings.restartText)
      this.status.value = record.verdict()
    } catch (error) {
      this.close(record, '')
      if (!signal.aborted) this.noteFailure(record.hasText, () => this.start(start))
      throw error
    } finally {
      onModelNews()
    }
  }

  /** Opens the run in the document, and makes its request. */
  private begin({ base, startText }: Start): RunRecord {
    const { settings, capabilities } = this.parts
    const isPicked = isPick(this.tree.nodes[base])
    const [tree, from] = settings.stripsWhitespace && !isPicked ? trimmedBase(this.tree, base) : [this.tree, base]
    const start = isPicked ? '' : startText
    const ids = isPicked ? this.memory.idsBefore(tree, from, 1, settings.model) : null
    const request = buildRequest(settings, ids ?? textOf(tree, from) + start, capabilities())
    const [begun, place] = beginRun(tree, from, `run-${tree.nextId}`, request.n ?? 1, start, metaOf(request))
    this.tree = begun
    return new RunRecord(request, place)
  }

  /** Writes what comes into the document, one update a frame. */
  private async follow(record: RunRecord, signal: AbortSignal): Promise<void> {
    const frame = batchByFrame(() => batch(() => {
      for (const { index, text, tokens } of record.gathering.take()) {
        const id = record.place.outputs[index]
        if (id !== undefined) this.tree = appendOutput(this.tree, id, text, tokens)
        if (text !== '' && !record.hasText) {
          record.noteText()
          this.attempts.noteAnswer(runs.generating)
        }
      }
    }))
    try {
      for await (const event of complete(record.request, this.parts.key.value, signal)) {
        if (signal.aborted) break
        if (event.type === 'queue') this.attempts.noteQueue(event.place)
        record.add(event)
        if (record.hasText) frame.request()
        else frame.flush() // the first word is not kept waiting, nor its time
      }
    } finally {
      frame.flush()
    }
    signal.throwIfAborted()
  }

  private close(record: RunRecord, restartText: string): void {
    const { place, gathering, request } = record
    const outputs = place.outputs.map((id) => this.tree.nodes[id]?.tokens ?? [])
    if (gathering.promptIds) this.memory.note(place.run, request.model, gathering.promptIds, outputs)
    const { promptTokens } = gathering
    if (promptTokens.length > 0) this.echoed.value = { model: request.model, text: String(request.prompt), tokens: promptTokens }
    this.tree = endRun(this.tree, place, record.finishes, restartText, record.figures())
    this.detail.value = record.summary()
  }

  /** The answer to the request of a run that is over. */
  private async ask({ run, base, meta }: LastRun, signal: AbortSignal): Promise<{ text: string; tokens: Token[] }> {
    const { echo: _, ...params } = meta.params
    const ids = isPick(this.tree.nodes[base]) ? this.memory.promptIds(run) : null
    const request = { ...params, model: meta.model, prompt: ids ?? textOf(this.tree, base), stream: true, stream_options: { include_usage: true } }
    const gathering = new Gathering('')
    for await (const event of complete(request as CompletionRequest, this.parts.key.value, signal)) gathering.add(event)
    signal.throwIfAborted()
    return gathering.take().find(({ index }) => index === meta.choice) ?? { text: '', tokens: [] }
  }

  private noteFailure(canContinue: boolean, again: () => Promise<void>): void {
    this.failed = { head: this.tree.head, again }
    this.canContinue.value = canContinue
    this.detail.value = ''
  }
}
