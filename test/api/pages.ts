/** The pages of the reference that are made from code, each with how. `npx tsx test/api/write-pages.ts` writes them. */
import { format } from 'prettier'
import { openApi } from '../../src/api/openapi.ts'
import { apiPage } from './api-page.ts'
import { clientPage } from './client-page.ts'
import { configPage } from './config-page.ts'
import { errorsPage } from './errors-page.ts'
import { metricsPage } from './metrics-page.ts'

export const PAGES: Readonly<Record<string, () => Promise<string>>> = {
  'openapi.json': () => format(JSON.stringify(openApi()), { parser: 'json', printWidth: 110 }),
  'api.md': apiPage,
  'client.md': clientPage,
  'config.md': configPage,
  'metrics.md': metricsPage,
  'errors.md': errorsPage,
}
