import { useSignal } from '@preact/signals'
import type { VNode } from 'preact'
import { useLayoutEffect, useMemo } from 'preact/hooks'

import { usageWords as t } from '../i18n/usage'
import { Attempts } from '../state/attempts'
import { formatDay } from '../usage/days'
import { fetchReport, MOST_DAYS, type UsageReport } from '../usage/report'
import { byDay, byModel, sum, tokensOf } from '../usage/sums'
import { DialogFrame } from './DialogFrame'
import { ErrorAlert } from './ErrorAlert'
import { useSandbox } from './sandboxContext'
import { UsageChart } from './usage/UsageChart'
import { UsageLimits } from './usage/UsageLimits'
import { UsageTable } from './usage/UsageTable'

const PERIODS = [7, 30, MOST_DAYS] as const

/** What was used in the last `count` days. */
function Uses({ report, count }: { report: UsageReport; count: number }): VNode {
  const days = byDay(report.rows, count, new Date())
  const total = sum(days)
  if (tokensOf(total) + total.requests === 0) return <p>{t.nothing}</p>
  const models = byModel(report.rows.filter(({ day }) => day >= (days[0]?.name ?? '')))
  const daysUsed = days.filter(({ requests }) => requests > 0).reverse().map((day) => ({ ...day, name: formatDay(day.name) }))
  return <>
    <UsageChart key={count} days={days} />
    <UsageTable isByModel caption={t.byModel} heading={t.model} rows={models} total={total} />
    <details>
      <summary>{t.byDay}</summary>
      <UsageTable caption={t.byDay} heading={t.day} rows={daysUsed} />
    </details>
  </>
}

/** What the key has used and may use, as the server tells it. */
export function UsageDialog({ onClose }: { onClose: () => void }): VNode {
  const { key } = useSandbox()
  const attempts = useMemo(() => new Attempts(), [])
  const report = useSignal<UsageReport | null>(null)
  const count = useSignal<number>(30)
  const failure = attempts.failure.value
  const waitS = attempts.waitS.value

  function load(): void {
    if (waitS > 0) attempts.skipWait()
    else void attempts.run('', async (signal) => { report.value = await fetchReport(key.value, signal) })
  }

  useLayoutEffect(() => {
    load()
    return () => attempts.stop()
  }, [])

  return (
    <DialogFrame class="usage" title={t.title} onClose={onClose}>
      {attempts.isRunning.value && waitS === 0
        ? <p role="status">{t.asking}</p>
        : failure?.status === 404 // a server that counts nothing does not know the address
          ? <p>{t.unsupported}</p>
          : <ErrorAlert failure={failure} waitS={waitS} onRetry={load} onDismiss={onClose} />}
      {report.value && <>
        <p class="usage-key">{t.ofKey(report.value.key)}</p>
        <UsageLimits report={report.value} />
        <div class="switch" role="group" aria-label={t.period}>
          {PERIODS.map((each) => <button key={each} type="button" aria-pressed={count.value === each} onClick={() => { count.value = each }}>{t.days(each)}</button>)}
        </div>
        <Uses report={report.value} count={count.value} />
        <p class="hint">{t.utc}</p>
      </>}
    </DialogFrame>
  )
}
