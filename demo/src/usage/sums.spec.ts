import { describe, expect, it } from 'vitest'

import { readReport, type UsageRow } from './report'
import { axisEnd, byDay, byModel, sum } from './sums'

const row = (day: string, model: string, requests: number, prompt: number, completion: number): UsageRow => ({ day, model, requests, prompt, completion })
const ROWS = [row('2028-03-01', 'a', 1, 10, 20), row('2028-03-01', 'b', 2, 30, 40), row('2028-02-28', 'a', 4, 1, 2)]

describe('readReport', () => {
  it('reads what the server sends', () => {
    expect(readReport({
      object: 'list', key: 'ada', limits: { requests_per_minute: 60, tokens_per_minute: null, parallel: 2, tokens_per_day: 1000 }, tokens_today: 30,
      data: [{ day: '2028-03-01', model: 'a', requests: 1, prompt_tokens: 10, completion_tokens: 20 }],
    })).toEqual({
      key: 'ada', limits: { requests_per_minute: 60, tokens_per_minute: null, parallel: 2, tokens_per_day: 1000 }, tokensToday: 30, rows: [ROWS[0]],
    })
  })

  it('leaves out what it does not understand, and takes nothing else for a report', () => {
    expect(readReport({ data: [null, 3, { day: 1, model: 'a' }, { day: '2028-03-01', model: 'a', requests: 'many' }] })).toEqual({
      key: '', limits: { requests_per_minute: null, tokens_per_minute: null, parallel: null, tokens_per_day: null }, tokensToday: 0,
      rows: [row('2028-03-01', 'a', 0, 0, 0)],
    })
    for (const value of [undefined, null, [], 'x', {}, { data: {} }]) expect(readReport(value)).toBeNull()
  })
})

describe('byDay', () => {
  it('has every day up to today, the oldest first, over a leap day and with nothing where nothing was used', () => {
    expect(byDay(ROWS, 4, new Date('2028-03-01T23:59:59Z'))).toEqual([
      { name: '2028-02-27', requests: 0, prompt: 0, completion: 0 },
      { name: '2028-02-28', requests: 4, prompt: 1, completion: 2 },
      { name: '2028-02-29', requests: 0, prompt: 0, completion: 0 },
      { name: '2028-03-01', requests: 3, prompt: 40, completion: 60 },
    ])
  })

  it('ends with the server’s day where that is later than ours, and with ours where nothing was used today', () => {
    expect(byDay(ROWS, 2, new Date('2028-02-29T23:59:00Z')).map(({ name }) => name)).toEqual(['2028-02-29', '2028-03-01'])
    expect(byDay([], 2, new Date('2028-03-01T00:00:00Z')).map(({ name }) => name)).toEqual(['2028-02-29', '2028-03-01'])
  })
})

describe('byModel', () => {
  it('sums each model, the most used first, and all of them', () => {
    expect(byModel(ROWS)).toEqual([{ name: 'b', requests: 2, prompt: 30, completion: 40 }, { name: 'a', requests: 5, prompt: 11, completion: 22 }])
    expect(sum(ROWS)).toEqual({ requests: 7, prompt: 41, completion: 62 })
    expect(sum([])).toEqual({ requests: 0, prompt: 0, completion: 0 })
  })
})

describe('axisEnd', () => {
  it('is round, has a whole half, and is little more than twice what it must hold', () => {
    expect([0, 1, 2, 3, 4, 5, 11, 99, 100, 101, 4200].map(axisEnd)).toEqual([2, 2, 2, 4, 4, 10, 20, 100, 100, 200, 10_000])
    for (let most = 1; most < 5000; most += 7) {
      expect(axisEnd(most)).toBeGreaterThanOrEqual(most)
      expect(axisEnd(most)).toBeLessThan(2.5 * Math.max(2, most))
      expect(Number.isInteger(axisEnd(most) / 2)).toBe(true)
    }
  })
})
