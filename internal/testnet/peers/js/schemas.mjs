// The JSON schemas of nostrability: says of each event which schema of its kind it was held against and what that found.
import { readFileSync, existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import Ajv from 'ajv'
import { orders, say } from './market.mjs'

const nips = join(dirname(createRequire(import.meta.url).resolve('@nostrability/schemata')), '..', 'nips')
const ajv = new Ajv({ strict: false, allErrors: true, logger: false, validateFormats: false })
const load = (path) => JSON.parse(readFileSync(path, 'utf8'))
const compiled = {}

for (const { name, event, folder } of orders.events) {
  const path = join(nips, folder, 'schema.json')
  if (!existsSync(path)) { say('checked', { name, missing: folder }); continue }
  compiled[folder] ??= ajv.compile(load(path))
  const ok = compiled[folder](event)
  const heard = { name, ok, errors: (compiled[folder].errors ?? []).map((e) => `${e.instancePath} ${e.message}`) }
  say('checked', heard)
}
say('done', {})
process.exit(0)
