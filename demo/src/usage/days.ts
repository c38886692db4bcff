import { language } from '../i18n/catalogue'

/** A day such as `2027-01-31` in the language in use: "31 Jan". */
export function formatDay(day: string): string {
  return new Intl.DateTimeFormat(language.value === 'en' ? 'en-GB' : language.value, { day: 'numeric', month: 'short', timeZone: 'UTC' }).format(Date.parse(day))
}
