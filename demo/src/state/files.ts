import { actions } from '../i18n/actions'

/** Gives the reader a file to keep. */
export function downloadText(text: string, type: string, name: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000) // some browsers read it only after the click is over
}

export function downloadJson(value: unknown, name: string): void {
  downloadText(JSON.stringify(value, null, 2), 'application/json', name)
}

/** Throws an Error in words for the reader when the file is not JSON. */
export async function readJsonFile(file: File): Promise<unknown> {
  const text = await file.text()
  try {
    return JSON.parse(text)
  } catch {
    throw new Error(actions.notJson(file.name))
  }
}
