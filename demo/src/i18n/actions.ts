import { catalogue, formatCount, formatDecimal } from './catalogue'

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
  branchOf: 'Branch {0} of {1}',
  forkOf: 'Fork {0} of {1}, branch {2} of {3}',
  putBack: 'Put back the earlier text',
  characters: '{0|character|characters}',
  imported: 'Imported {0}',
  unreadable: 'The file cannot be read.',
  notJson: '{0} is not a JSON file.',
})

/** What a run says of itself. */
export const runs = catalogue('runs', {
  generating: 'Generating',
  waiting: 'Waiting for the model',
  queued: 'Waiting in the queue, place {0}',
  stopped: 'Stopped',
  finished: 'Finished',
  finishedTokens: 'Finished, {0|token|tokens}',
  reachedMax: 'reached Max tokens',
  promptTokens: '{0} prompt tokens',
  rate: '{0} tokens/s',
  first: 'first after {0}',
  replaying: 'Replaying',
  identical: 'Identical',
  divergedAtToken: 'Diverged at token {0}: “{1}” then, “{2}” now',
  divergedAtCharacter: 'Diverged at character {0}: “{1}” then, “{2}” now',
})

export function duration(ms: number): string {
  return ms < 995 ? `${formatCount(ms)} ms` : `${formatDecimal(ms / 1000, 1)} s`
}
