import { useSignal } from '@preact/signals'
import type { VNode } from 'preact'
import { useId } from 'preact/hooks'

import { formatCount } from '../../i18n/catalogue'
import { usageWords as t } from '../../i18n/usage'
import { formatDay } from '../../usage/days'
import { axisEnd, sum, tokensOf, type Named } from '../../usage/sums'
import { Icon } from '../Icon'

function labelOf(days: readonly Named[], first: string, last: string): string {
  const busiest = days.reduce((most, day) => (tokensOf(day) > tokensOf(most) ? day : most))
  return t.chartOf(first, last, tokensOf(sum(days)), tokensOf(busiest), formatDay(busiest.name))
}

/** Tokens a day, the completion's on the prompt's. The table beside it says the same in figures. */
export function UsageChart({ days }: { days: readonly Named[] }): VNode {
  const hatch = useId()
  /** The day that is pointed at. */
  const at = useSignal<number | null>(null)
  const end = axisEnd(Math.max(...days.map(tokensOf)))
  const first = formatDay(days[0]?.name ?? '')
  const last = formatDay(days.at(-1)?.name ?? '')
  const pointed = days[at.value ?? -1]
  const fill = `url(#${hatch})`

  function onPoint(event: Event): void {
    const { day } = (event.target as SVGElement).dataset
    at.value = day === undefined ? null : Number(day)
  }

  /** Positions in percent, so that the chart is as wide as its place without being stretched. */
  function column(day: Named, index: number): VNode {
    const slot = 100 / days.length
    const [prompt, completion] = [(100 * day.prompt) / end, (100 * day.completion) / end]
    const place = { x: `${(index + 0.12) * slot}%`, width: `${0.76 * slot}%` }
    return (
      <g key={index} class={index === at.value ? 'pointed' : ''}>
        <rect class="slot" data-day={index} x={`${index * slot}%`} width={`${slot}%`} y="0" height="100%" />
        {prompt > 0 && <rect class="prompt" fill={fill} {...place} y={`${100 - prompt}%`} height={`${prompt}%`} />}
        {completion > 0 && <rect class="completion" {...place} y={`${100 - prompt - completion}%`} height={`${completion}%`} />}
      </g>
    )
  }

  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{t.chart}</span>{' '}
        <span class="chart-key"><Icon><rect class="completion" width="16" height="16" rx="2" /></Icon> {t.completion}</span>{' '}
        <span class="chart-key"><Icon><rect class="prompt" width="16" height="16" rx="2" fill={fill} /></Icon> {t.prompt}</span>
      </figcaption>
      <div class="chart-frame">
        <div class="chart-axis" aria-hidden="true"><span>{formatCount(end)}</span><span>{formatCount(end / 2)}</span><span>0</span></div>
        <svg role="img" aria-label={labelOf(days, first, last)} onPointerOver={onPoint} onPointerLeave={() => { at.value = null }}>
          <defs>
            <pattern id={hatch} width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path class="hatch" d="M0 0V5" /></pattern>
          </defs>
          {[0, 50, 100].map((y) => <line key={y} class="grid" x1="0" x2="100%" y1={`${y}%`} y2={`${y}%`} />)}
          {days.map(column)}
        </svg>
        <div class="chart-days" aria-hidden="true"><span>{first}</span><span>{last}</span></div>
      </div>
      <p class="hint" aria-hidden="true">{pointed ? t.onDay(formatDay(pointed.name), pointed.prompt, pointed.completion, pointed.requests) : t.pointAtDay}</p>
    </figure>
  )
}
