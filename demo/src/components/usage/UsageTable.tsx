import type { VNode } from 'preact'

import { formatCount } from '../../i18n/catalogue'
import { usageWords as t } from '../../i18n/usage'
import type { Amount } from '../../usage/report'
import type { Named } from '../../usage/sums'
import { classes } from '../classes'
import { SlashedName } from '../SlashedName'

interface Props {
  caption: string
  heading: string
  rows: readonly Named[]
  total?: Amount
  isByModel?: boolean
}

function Cells({ requests, prompt, completion }: Amount): VNode {
  return <><td>{formatCount(requests)}</td><td>{formatCount(prompt)}</td><td>{formatCount(completion)}</td></>
}

/** Sums, one a line. */
export function UsageTable({ caption, heading, rows, total, isByModel = false }: Props): VNode {
  return (
    <table class={classes('sums', isByModel && 'by-model')}>
      <caption class="sr-only">{caption}</caption>
      <thead><tr>{[heading, t.requests, t.prompt, t.completion].map((each) => <th key={each} scope="col">{each}</th>)}</tr></thead>
      <tbody>{rows.map((row) => <tr key={row.name}><th scope="row"><SlashedName name={row.name} /></th><Cells {...row} /></tr>)}</tbody>
      {total && <tfoot><tr><th scope="row">{t.total}</th><Cells {...total} /></tr></tfoot>}
    </table>
  )
}
