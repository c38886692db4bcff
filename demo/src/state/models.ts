import { computed, signal, type Signal } from '@preact/signals-core'

import { listModels } from '../api/client'
import { Failure } from '../api/failure'
import type { Model } from '../api/wire'
import { watch } from './reactive'

/** A key is looked at once typing has paused for this long. */
const KEY_PAUSE_MS = 450
const POLL_MS = 2000

/** The models that the key may use: fetched when the key has settled, and again only while one of them loads. */
export class ModelList {
  readonly list = signal<Model[]>([])
  /** Why there is no list, for a key that was tried. */
  readonly failure = signal<Failure | null>(null)
  readonly isFetching = signal(false)
  readonly current = computed(() => this.list.value.find(({ id }) => id === this.chosen.value) ?? null)
  private readonly loadingSinceMs = new Map<string, number>()
  private timer: ReturnType<typeof setTimeout> | undefined
  private controller: AbortController | null = null

  /** `chosen` is moved to a model that exists. */
  constructor(private readonly key: Signal<string>, private readonly chosen: { value: string }) {
    watch(() => key.value, () => {
      this.cancel()
      if (key.value === '') this.clear()
      else {
        this.isFetching.value = true
        this.failure.value = null
        this.refreshIn(KEY_PAUSE_MS)
      }
    })
    if (key.value !== '') void this.refresh()
  }

  /** Seconds for which a model has been seen loading. */
  loadingS(id: string): number {
    return Math.round((Date.now() - (this.loadingSinceMs.get(id) ?? Date.now())) / 1000)
  }

  async refresh(): Promise<void> {
    this.cancel()
    if (this.key.value === '') return
    const controller = new AbortController()
    this.controller = controller
    this.isFetching.value = true
    try {
      const models = await listModels(this.key.value, controller.signal)
      if (this.controller === controller) this.accept(models)
    } catch (error) {
      if (this.controller === controller && error instanceof Failure) this.reject(error)
    } finally {
      if (this.controller === controller) this.isFetching.value = false
    }
  }

  private refreshIn(delayMs: number): void {
    this.timer = setTimeout(() => void this.refresh(), delayMs)
  }

  private cancel(): void {
    clearTimeout(this.timer)
    this.controller?.abort()
    this.controller = null
  }

  private clear(): void {
    this.isFetching.value = false
    this.failure.value = null
    this.list.value = []
  }

  private accept(models: Model[]): void {
    for (const { id, status } of models) {
      if (status !== 'loading') this.loadingSinceMs.delete(id)
      else if (!this.loadingSinceMs.has(id)) this.loadingSinceMs.set(id, Date.now())
    }
    this.list.value = models
    this.failure.value = null
    if (!models.some(({ id }) => id === this.chosen.value)) {
      this.chosen.value = (models.find(({ status }) => status === 'ready') ?? models[0])?.id ?? this.chosen.value
    }
    if (models.some(({ status }) => status === 'loading')) this.refreshIn(POLL_MS)
  }

  private reject(failure: Failure): void {
    this.failure.value = failure
    if (failure.status === 401 || failure.status === 403) this.list.value = []
    // A server that is on its way up says so; the list appears by itself once it is there.
    if (failure.status === 503) this.refreshIn((failure.retryAfterS ?? 2) * 1000)
  }
}
