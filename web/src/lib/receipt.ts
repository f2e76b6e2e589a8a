// What a receipt proves, checked here: signatures were checked when the events came in, by verify.
import type { Job } from '@sdk/fold';
import type { Entry } from './jobs.svelte';
import { sats } from './format';
import { t } from '../strings';

export interface Verdict { receipt: boolean; checks: { good: boolean; text: string }[] }

export async function verifyReceipt(e: Entry, job: Job, text: string): Promise<Verdict> {
  const best = job.best, result = best?.results.find((r) => !r.Closed) ?? best?.results[0], receipt = best?.receipts.find((m) => best.results.some((r) => r.ID === m.Result));
  const facts = e.facts; // read before the first await: who shows a verdict is told when they change
  const { sha256Hex, textHash } = await import('./bolt11');
  const checks: Verdict['checks'] = [];
  if (!result) return { receipt: false, checks };
  if (receipt) {
    checks.push({ good: receipt.Author === best!.node && result.Author === best!.node, text: t.view.check.signed });
    checks.push({ good: receipt.Job === e.id && receipt.Result === result.ID && receipt.To === e.req.Author, text: t.view.check.about });
    checks.push({ good: receipt.Amount === (facts.void ? 0 : facts.amount ?? receipt.Amount), text: t.view.check.amount(sats(receipt.Amount)) });
  }
  if (facts.hash) {
    if (facts.preimage) checks.push({ good: sha256Hex(facts.preimage) === facts.hash, text: t.view.check.paid });
  } else if (receipt?.Amount === 0) checks.push({ good: true, text: t.view.check.free });
  if (result.Sealed) checks.push({ good: !!facts.preimage && sha256Hex(facts.preimage) === result.Sealed.PaymentHash, text: t.view.check.sealed });
  else if (result.X && !result.Closed) checks.push({ good: textHash(text) === result.X, text: t.view.check.hash });
  return { receipt: !!receipt, checks };
}
