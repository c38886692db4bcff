import { catalogue } from './catalogue'

/** What went wrong, where the page says it and not the server, and what can be done about it. */
export const failures = catalogue('failures', {
  badKey: 'The API key holds a character that no key can hold.',
  offline: 'The server cannot be reached: it is down, or you are offline.',
  noReason: 'The server answered {0} and gave no reason.',
  noReasonAtAll: 'The server gave no reason.',
  badModels: 'The server’s list of models is not understood.',
  notCompletion: 'The server’s answer is not a completion.',
  notPrompt: 'The server’s answer holds no prompt.',
  badEvent: 'The server sent an event that is not JSON.',
  interrupted: 'Interrupted; partial text kept. Continue?',
  fetching: 'Fetching this part of the page…',
  unfetched: 'This part of the page could not be fetched. Reload the page: your text is kept.',
  requestId: 'request id {0}',
  again: 'Trying again in {0} s',
  continue: 'Continue',
  retry: 'Retry',
  reload: 'Reload the page',
  dismiss: 'Dismiss',
})

/** One sentence a failure. A status that is not here has advice of its own, or none. */
export const advice = catalogue('advice', {
  401: 'Check the API key: it is printed in the log when the server starts.',
  403: 'This key may not use this model. Choose another model, or ask for a key that may.',
  404: 'Choose another model.',
  413: 'The request is too large. Shorten the prompt.',
  429: 'Too many requests at once. Wait a little, then retry.',
  502: 'The model’s server cannot be reached. It may be restarting: retry in a moment.',
  504: 'The model did not answer in time. Ask for fewer tokens, or retry.',
  offline: 'Check the connection, then retry.',
  resume: 'Continue from here, or retry from before.',
  soon: 'Retry in a moment.',
  tooLong: 'Shorten the prompt, or lower Max tokens.',
  tooMany: 'Too many requests at once. Retry in {0} s.',
  waits: 'The page asks again by itself.',
  broken: 'Something broke on the server. The request id helps to find it in the log.',
})
