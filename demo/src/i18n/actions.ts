import { catalogue, formatCount, formatDecimal, plural } from './catalogue'

/** Around the text: the editor, the bar of actions, what a run says of itself. */
export const actions = catalogue('actions', {
  prompt: 'Prompt',
  placeholder: 'Write the beginning. The model goes on from there.',
  endsWithSpace: 'The text ends with whitespace. Most models go on better without it.',
  actions: 'Actions',
  generate: 'Generate',
  stop: 'Stop',
  redoPrevious: 'Redo previous',
  redoPreviousHint: 'Go back before the last answer and generate again (Alt+R)',
  undo: 'Undo',
  undoHint: 'Undo (Ctrl+Z)',
  redo: 'Redo',
  redoHint: 'Redo (Ctrl+Shift+Z)',
  replay: 'Replay',
  replayHint: 'Ask the same again, seed and all, and compare',
  previousBranch: 'Previous branch',
  nextBranch: 'Next branch',
  previousBranchHint: 'Previous branch (Alt+←)',
  nextBranchHint: 'Next branch (Alt+→)',
  branchOf: (at: number, of: number) => `Branch ${formatCount(at)} of ${formatCount(of)}`,
  forkOf: (at: number, of: number, branch: number, branches: number) => `Fork ${formatCount(at)} of ${formatCount(of)}, branch ${formatCount(branch)} of ${formatCount(branches)}`,
  putBack: 'Put back the earlier text',
  characters: (count: number) => plural(count, 'character', 'characters'),
  imported: (name: string) => `Imported ${name}`,
  unreadable: 'The file cannot be read.',
  notJson: (name: string) => `${name} is not a JSON file.`,
})

/** What a run says of itself. */
export const runs = catalogue('runs', {
  generating: 'Generating',
  waiting: 'Waiting for the model',
  queued: (place: number) => `Waiting in the queue, place ${formatCount(place)}`,
  stopped: 'Stopped',
  finished: 'Finished',
  finishedTokens: (count: number) => `Finished, ${plural(count, 'token', 'tokens')}`,
  reachedMax: 'reached Max tokens',
  promptTokens: (count: number) => `${formatCount(count)} prompt tokens`,
  rate: (tps: number) => `${formatDecimal(tps, tps < 10 ? 1 : 0)} tokens/s`,
  first: (ms: number) => `first after ${duration(ms)}`,
  replaying: 'Replaying',
  identical: 'Identical',
  diverged: (unit: 'token' | 'character', at: number, expected: string, got: string) => `Diverged at ${unit} ${formatCount(at)}: “${expected}” then, “${got}” now`,
})

export function duration(ms: number): string {
  return ms < 995 ? `${formatCount(ms)} ms` : `${formatDecimal(ms / 1000, 1)} s`
}
