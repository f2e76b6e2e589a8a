// Reads private messages (NIP-17) with nostr-tools: a gift wrap a line on stdin, the reader's secret key as the argument.
// Prints what is inside, and the ids that nostr-tools computes of it.
import { createInterface } from 'node:readline'
import { unwrapEvent } from 'nostr-tools/nip17'
import { getEventHash } from 'nostr-tools/pure'
import { hexToBytes } from 'nostr-tools/utils'

for await (const line of createInterface({ input: process.stdin })) {
  const rumor = unwrapEvent(JSON.parse(line), hexToBytes(process.argv[2]))
  console.log(JSON.stringify({ rumor, hash: getEventHash(rumor) }))
}
