import type { ComponentChildren, VNode } from 'preact'

/** A small picture beside words or in a button that has a name: one line, or what is between the tags. */
export function Icon({ line, children }: { line?: string; children?: ComponentChildren }): VNode {
  return <svg viewBox="0 0 16 16" aria-hidden="true">{line !== undefined && <path d={line} />}{children}</svg>
}

export const PREVIOUS = 'M10 3 5 8l5 5'
export const NEXT = 'm6 3 5 5-5 5'
