import type { VNode } from 'preact'

import { formatCount } from '../../i18n/catalogue'
import { usageWords as t } from '../../i18n/usage'
import { LIMITS, type UsageReport } from '../../usage/report'

/** What a key may use, and where it stands today. */
export function UsageLimits({ report }: { report: UsageReport }): VNode {
  const perDay = report.limits.tokens_per_day
  const share = perDay === null ? 0 : Math.min(1, report.tokensToday / Math.max(1, perDay))
  const limits = LIMITS.flatMap((name) => {
    const most = report.limits[name]
    return most === null || name === 'tokens_per_day' ? [] : [{ name, most }]
  })

  return (
    <div class="limits">
      <dl>
        <div class="today">
          <dt>{t.today}</dt>
          <dd>{perDay === null ? t.tokensToday(report.tokensToday) : t.tokensTodayOf(report.tokensToday, perDay)}</dd>
          {perDay !== null && <dd class={share === 1 ? 'gauge full' : 'gauge'} aria-hidden="true"><span style={{ width: `${100 * share}%` }} /></dd>}
        </div>
        {limits.map(({ name, most }) => <div key={name}><dt>{t[name]}</dt><dd>{formatCount(most)}</dd></div>)}
      </dl>
      {share === 1 ? <p class="bad">{t.usedUp}</p> : perDay === null && limits.length === 0 && <p class="hint">{t.noLimits}</p>}
    </div>
  )
}
