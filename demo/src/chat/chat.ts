import { computed, signal } from '@preact/signals-core'

import { renderChat } from '../api/client'
import { chatWords as t } from '../i18n/chat'
import { Attempts } from '../state/attempts'
import { watch } from '../state/reactive'
import type { Sandbox } from '../state/sandbox'
import { keep, readKept } from '../storage/kept'
import { answered, newConversation, readMessages, renderRequest, type Message } from './messages'

const STORAGE_KEY = 'sandle.chat'

/**
 * Messages that the chosen model's own chat template makes the text of the page. One for each sandbox: they are there when the dialog
 * is opened again, and in this tab after a reload.
 */
export class Chat {
  readonly messages = signal<readonly Message[]>(readMessages(readKept('tab', STORAGE_KEY)) ?? newConversation())
  private readonly attempts = new Attempts()
  readonly failure = this.attempts.failure
  /** Seconds until it is tried again while the model loads. */
  readonly waitS = this.attempts.waitS
  readonly isRendering = this.attempts.isRunning
  readonly isBlank = computed(() => this.messages.value.every(({ content }) => content.trim() === ''))
  /** The prompt that was put into the text last; null once its answer has become a message. */
  private readonly prompt = signal<string | null>(null)
  /** What stands in the text after that prompt. */
  readonly answer = computed(() => {
    const { value: text } = this.sandbox.document.text
    return this.prompt.value !== null && text.startsWith(this.prompt.value) ? text.slice(this.prompt.value.length) : ''
  })

  constructor(private readonly sandbox: Sandbox) {
    watch(() => this.messages.value, (messages) => { keep('tab', STORAGE_KEY, JSON.stringify(messages)) })
  }

  /** The messages with the answer among them, which is then no longer on offer. */
  takeAnswer(): readonly Message[] {
    this.messages.value = answered(this.messages.value, this.answer.value)
    this.prompt.value = null
    return this.messages.value
  }

  /** Puts the prompt that the messages become into the text, in one step of undo. False where that fails or is stopped. */
  async putIntoText(): Promise<boolean> {
    let isDone = false
    await this.attempts.run('', async (signal) => {
      const prompt = await renderChat(renderRequest(this.sandbox.settings.model, this.messages.value), this.sandbox.key.value, signal)
      this.show(prompt)
      isDone = true
    })
    return isDone
  }

  stop(): void {
    this.attempts.stop()
  }

  skipWait(): void {
    this.attempts.skipWait()
  }

  dismiss(): void {
    this.failure.value = null
  }

  /** The template says where a turn begins and ends: nothing is added to its prompt, and nothing else ends the answer. */
  private show(prompt: string): void {
    const { document: doc, settings, run, stopDraft } = this.sandbox
    const had = doc.text.value !== ''
    doc.set(prompt)
    Object.assign(settings, { stop: [], startText: '', restartText: '', suffix: '', stripsWhitespace: false, addsSpecialTokens: false })
    stopDraft.value = ''
    this.prompt.value = doc.text.value
    run.dismiss()
    run.status.value = had ? t.putInPlace : t.put
  }
}

const kept = new WeakMap<Sandbox, Chat>()

export function chatOf(sandbox: Sandbox): Chat {
  let chat = kept.get(sandbox)
  if (!chat) kept.set(sandbox, chat = new Chat(sandbox))
  return chat
}
