// The owner's list of nodes, and a notice when one goes away or comes back.
import { market } from './market.svelte';
import { notices } from './notices.svelte';
import { list, write, type Owned } from './owner';
import { t } from '../strings';

class Mine {
  list = $state.raw<Owned[]>([]);
  error = $state('');
  private me = '';
  private were = new Map<string, boolean>();

  async begin(me: string) {
    if (this.me === me) return;
    this.me = me;
    this.list = [];
    this.error = '';
    this.were.clear();
    await market.ready();
    await list().then((found) => { if (this.me === me) this.list = found; }, (err) => { this.error = t.error(err); });
  }
  end() {
    this.me = '';
    this.list = [];
  }

  async put(all: Owned[]) {
    await write(all);
    this.list = all;
  }

  // watch tells once when a node is down, and once when it is back. A page without relays tells nothing: it is itself that is away.
  watch(connected: boolean) {
    if (!connected) return;
    for (const n of this.list) {
      const seen = market.node(n.node), before = this.were.get(n.node), name = n.name || seen?.name || n.node.slice(0, 8);
      if (!seen) continue;
      if (before !== undefined && before !== seen.alive) notices.tell('node', seen.alive ? 'success' : 'error', seen.alive ? t.notice.up(name) : t.notice.down(name), 'nodes/' + n.node);
      this.were.set(n.node, seen.alive);
    }
  }
}

export const mine = new Mine();
