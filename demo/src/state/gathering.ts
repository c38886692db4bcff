import type { CompletionEvent, WireToken } from '../api/wire'
import { Speller } from '../document/spell'
import type { Token } from '../document/tree'

/** What a choice has brought since it was last asked, and all its tokens. */
export interface Gathered {
  index: number
  text: string
  tokens: Token[]
}

/** One choice. With `echoed`, its text begins with the prompt, which is kept apart. */
class Choice {
  promptIds: number[] | null = null
  private readonly speller = new Speller()
  private tokens: Token[] = []
  private pendingText = ''
  private pendingTokens: WireToken[] = []
  /** The text so far, until it is longer than the prompt that it should begin with. */
  private beginning = ''
  private echoLength: number | null = null

  constructor(private readonly echoed: string) {}

  addText(text: string): void {
    this.pendingText += text
  }

  addTokens(tokens: readonly WireToken[]): void {
    this.pendingTokens.push(...tokens)
  }

  get hasNews(): boolean {
    return this.pendingText !== '' || this.pendingTokens.length > 0
  }

  take(): Omit<Gathered, 'index'> {
    const text = this.pendingText
    this.tokens = this.speller.push(text, this.pendingTokens)
    this.pendingText = ''
    this.pendingTokens = []
    return { text: this.withoutEcho(text), tokens: this.tokens.slice(this.promptLength()) }
  }

  /** The tokens of the echoed prompt; none where they do not spell it. */
  promptTokens(): Token[] {
    const tokens = this.tokens.slice(0, this.promptLength())
    return tokens.map((token) => token.text).join('') === this.echoed ? tokens : []
  }

  /** A server that does not echo is believed at the first character that differs. */
  private withoutEcho(text: string): string {
    if (this.echoLength !== null) return text
    this.beginning += text
    if (this.beginning.length < this.echoed.length && this.echoed.startsWith(this.beginning)) return ''
    this.echoLength = this.beginning.startsWith(this.echoed) ? this.echoed.length : 0
    return this.beginning.slice(this.echoLength)
  }

  /** How many of the tokens are the prompt's. */
  private promptLength(): number {
    if (this.echoed === '') return 0
    if (this.echoLength === null) return this.tokens.length
    if (this.echoLength === 0) return 0
    if (this.promptIds) return this.promptIds.length
    let at = 0
    return this.tokens.findIndex((token) => (at += token.text.length) >= this.echoed.length) + 1
  }
}

/** Gathers what comes for each choice of a request between two frames of the screen. */
export class Gathering {
  private readonly choices = new Map<number, Choice>()

  /** `echoed` is the prompt that the server was asked to repeat, else empty. */
  constructor(private readonly echoed: string) {}

  get promptIds(): number[] | null {
    return this.choices.get(0)?.promptIds ?? null
  }

  get promptTokens(): Token[] {
    return this.choices.get(0)?.promptTokens() ?? []
  }

  add(event: CompletionEvent): void {
    if (event.type === 'usage' || event.type === 'finish' || event.type === 'queue') return
    let choice = this.choices.get(event.index)
    if (!choice) this.choices.set(event.index, choice = new Choice(this.echoed))
    if (event.type === 'promptIds') choice.promptIds = event.ids
    else if (event.type === 'text') choice.addText(event.text)
    else choice.addTokens(event.tokens)
  }

  /** What has come since the last call. */
  take(): Gathered[] {
    return [...this.choices].filter(([, choice]) => choice.hasNews).map(([index, choice]) => ({ index, ...choice.take() }))
  }
}
