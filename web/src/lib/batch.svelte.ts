// A batch: many prompts, each a job of its own, so many at once. What is not done yet is on the disk, so that it goes on after
// a reload.
import { buy, resume, type Order, type Purchase } from './buy.svelte';
import * as db from './db';
import { jobs } from './jobs.svelte';
import { session } from './session.svelte';

export interface Item { prompt: string; job?: string; text?: string; error?: string; cost?: number }
interface Kept { id: string; items: Item[]; order: Order; atOnce: number; stopped: boolean }

export const mostPrompts = 500;

// readPrompts reads a list of prompts: JSON lines with a field prompt (or OpenAI's batch lines), else one a line.
export function readPrompts(text: string): string[] {
  return text.split(/\r?\n/).map((line) => line.trim()).filter(Boolean).map((line) => {
    if (line[0] !== '{') return line;
    try {
      const v = JSON.parse(line), last = v.body?.messages?.at?.(-1)?.content;
      return String(v.prompt ?? v.input ?? last ?? line);
    } catch {
      return line;
    }
  });
}

class Batch {
  items = $state<Item[]>([]);
  running = $state(false);
  stopped = $state(false);
  private order?: Order;
  private atOnce = 4;
  private going = new Map<number, Purchase>();
  private me = '';

  get done() { return this.items.filter((i) => i.text !== undefined).length; }
  get failed() { return this.items.filter((i) => i.error !== undefined).length; }
  get left() { return this.items.length - this.done - this.failed; }

  // begin shows what was left of the one that is signed in.
  async begin(me: string) {
    if (this.me === me) return;
    this.me = me;
    const row = (await db.all<Kept>('kept').catch(() => [])).find((r) => r.id === 'batch ' + me);
    this.items = row?.items ?? [];
    this.order = row?.order;
    this.atOnce = row?.atOnce ?? 4;
    this.stopped = this.left > 0;
  }

  private keep() {
    return db.put('kept', [{ id: 'batch ' + this.me, items: $state.snapshot(this.items), order: this.order!, atOnce: this.atOnce, stopped: this.stopped }]).catch(() => {});
  }

  start(prompts: string[], order: Order, atOnce: number) {
    this.items = prompts.slice(0, mostPrompts).map((prompt) => ({ prompt }));
    this.order = { ...order, group: 'batch' };
    this.atOnce = Math.max(1, Math.min(16, atOnce));
    return this.go();
  }

  // go does what is not done, until all is or it is stopped.
  async go() {
    if (this.running || !this.order || !session.signer) return;
    this.running = true;
    this.stopped = false;
    await this.keep();
    let next = 0;
    const lane = async () => {
      while (!this.stopped) {
        while (next < this.items.length && (this.items[next].text !== undefined || this.items[next].error !== undefined)) next++;
        const i = next++;
        if (i >= this.items.length) return;
        await this.one(i);
      }
    };
    await Promise.all(Array.from({ length: this.atOnce }, lane));
    this.running = false;
    await this.keep();
  }

  private async one(i: number) {
    const item = this.items[i], before = item.job && jobs.get(item.job); // it was begun before a reload: nothing is bought twice
    const p = (before && resume(before)) || buy({ ...this.order!, inputs: [{ Value: item.prompt, Type: 'text' }] });
    this.going.set(i, p);
    p.submitted.then(() => {
      if (!p.entry) return;
      item.job = p.entry.id;
      this.keep();
    });
    await p.ended;
    this.going.delete(i);
    if (p.result) [item.text, item.cost] = [p.text, p.entry?.facts.amount ?? 0];
    else item.error = p.error;
    await this.keep();
  }

  // stop starts no more; what was ordered is finished.
  stop() { this.stopped = true; }

  again() {
    for (const item of this.items) if (item.error !== undefined) [item.error, item.job] = [undefined, undefined];
    return this.go();
  }

  clear() {
    this.items = [];
    this.stopped = false;
    if (this.order) this.keep();
  }
}

export const batch = new Batch();
