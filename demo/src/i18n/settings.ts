import { catalogue } from './catalogue'

/** The rail: the key, the presets, the fields and what they are for. */
export const settingsWords = catalogue('settingsWords', {
  parameters: 'Parameters',
  done: 'Done',
  answer: 'Answer',
  sampling: 'Sampling',
  penalties: 'Penalties',
  aroundText: 'Around the text',
  startText: 'Start text',
  startTextHint: 'Added to your text before the model goes on.',
  restartText: 'Restart text',
  restartTextHint: 'Added after the model has finished.',
  suffix: 'Suffix',
  suffixHint: 'What should come after the answer: the model fills the gap.',
  strip: 'Strip whitespace at the end before generating',
  export: 'Export',
  import: 'Import',
  filesHint: 'The text with its history, and these settings. Never the key.',
  stops: 'Stop sequences',
  chosenStops: 'Chosen stop sequences',
  removeStop: 'Remove stop sequence {0}',
  stopPlaceholder: 'Type and press Enter',
  newlineHint: 'is a newline.',
  random: 'random',
  off: 'off',
  echo: 'Echo',
  echoHint: 'The server repeats the prompt and tells how likely each of its tokens was.',
  reset: 'Reset {0}',
  slider: 'Slider for {0}',
})

export const parameterLabels = catalogue('parameterLabels', {
  max_tokens: 'Max tokens',
  temperature: 'Temperature',
  top_p: 'Top-p',
  top_k: 'Top-k',
  min_p: 'Min-p',
  seed: 'Seed',
  n: 'Completions',
  logprobs: 'Logprobs',
  presence_penalty: 'Presence penalty',
  frequency_penalty: 'Frequency penalty',
  repetition_penalty: 'Repetition penalty',
})

export const parameterHints = catalogue('parameterHints', {
  max_tokens: 'How much to write at most',
  temperature: '0 always takes the likeliest token; more is wilder',
  top_p: 'Draw only from the likeliest tokens that together hold this share',
  top_k: 'Draw only from this many tokens; 0 is off',
  min_p: 'Leave out tokens below this share of the likeliest one',
  seed: 'The same seed gives the same text again; empty is random',
  n: 'Several answers at once, kept as branches',
  logprobs: 'How many alternatives to show for each token; empty is off',
  presence_penalty: 'Makes tokens that have occurred less likely',
  frequency_penalty: 'The same, growing with each occurrence',
  repetition_penalty: 'Divides the score of tokens seen before; 1 is off',
})

export const keyWords = catalogue('keyWords', {
  label: 'API key',
  printed: 'The server prints it when it starts.',
  asking: 'Asking for the models…',
  noModel: 'No model is on offer.',
  models: '{0|model|models} to choose from.',
  show: 'Show the key',
  tryAgain: 'Try again',
  usage: 'Usage',
  usageHint: 'What this key has used, and what it may use',
  keep: 'Keep the key:',
  memory: 'in memory',
  tab: 'in this tab',
  device: 'on this device',
})

export const modelWords = catalogue('modelWords', {
  label: 'Model',
  ready: 'ready',
  loading: 'loading',
  loadingFor: 'loading, {0} s',
  available: 'not loaded',
  error: 'error',
  enterKey: 'Enter the API key to see the models',
  context: 'Context: {0} tokens.',
})
