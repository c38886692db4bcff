import { createContext } from 'preact'
import { useContext } from 'preact/hooks'

import type { Sandbox } from '../state/sandbox'

export const SandboxContext = createContext<Sandbox | null>(null)

/** For a component below App.tsx; throws elsewhere. */
export function useSandbox(): Sandbox {
  const sandbox = useContext(SandboxContext)
  if (!sandbox) throw new Error('There is no sandbox above this component')
  return sandbox
}
