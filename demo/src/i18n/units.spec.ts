import { afterEach, describe, expect, it, vi } from 'vitest'

import { setLanguage } from './catalogue'
import { formatBytes, formatRate, formatSeconds } from './units'

/** French puts spaces of several kinds between a number and its unit. */
const plain = (texts: string[]): string[] => texts.map((text) => text.replace(/\s/g, ' '))

describe('amounts', () => {
  afterEach(() => setLanguage('en'))

  it('stand in the largest unit of which there is one', () => {
    expect([0, 999, 1000, 999_999, 1_000_000, 13_476_838_400, 1e12, 1e16].map(formatBytes)).toEqual([
      '0 byte', '999 byte', '1 kB', '1,000 kB', '1.0 MB', '13.5 GB', '1.0 TB', '10,000.0 TB',
    ])
    expect([0, 35_200_000].map(formatRate)).toEqual(['0 byte/s', '35.2 MB/s'])
  })

  it('of time are as exact as is worth telling', () => {
    expect([0.4, 45, 119, 120, 3000, 7199, 7200, 9000].map(formatSeconds)).toEqual(['0 sec', '45 sec', '119 sec', '2 min', '50 min', '120 min', '2.0 hr', '2.5 hr'])
  })

  it('have the units of their language', async () => {
    vi.stubGlobal('fetch', () => Promise.resolve(Response.json({})))
    await setLanguage('fr')
    expect(plain([formatBytes(1.23e9), formatRate(35.2e6), formatSeconds(45)])).toEqual(['1,2 Go', '35,2 Mo/s', '45 s'])
  })
})
