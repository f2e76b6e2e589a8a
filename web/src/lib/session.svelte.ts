// Who is signed in, with what wallet, at which relays.
import { Pool } from './relay';
import { settings, readRelay } from './settings.svelte';
import { t } from '../strings';
import { connect, readAddress, webln, type Wallet } from './wallet';
import { exchange, fromBunker, fromDaemon, fromExtension, invite, type Signer } from './signer';

function kept(name: string) {
  try {
    return JSON.parse(localStorage.getItem(name) ?? '') ?? undefined;
  } catch {
    return undefined;
  }
}

class Session {
  signer = $state.raw<Signer>();
  relays = $state.raw<{ url: string; open: boolean }[]>([]);
  wallet = $state.raw<Wallet>();
  balance = $state<number>();
  online = $state(navigator.onLine);
  daemon = $state.raw<{ name: string; relays: string[] }>(); // that served this page; undefined on a static host
  own = $state(false); // whether 'infernet open' signs in with a key of the daemon's machine
  failed = $state(''); // why that did not sign in
  authURL = $state(''); // where a bunker wants an approval
  private lent = false; // the wallet is the daemon's, and goes with its key
  readonly pool = new Pool(() => { this.relays = this.pool.status; });

  get connected() { return this.relays.some((r) => r.open); }

  constructor() {
    this.pool.authenticate = async (relay, challenge) => {
      if (!this.signer) throw new Error('not signed in');
      return this.signer.sign({ kind: 22242, created_at: Math.floor(Date.now() / 1000), tags: [['relay', relay], ['challenge', challenge]], content: '' });
    };
    const wake = () => {
      this.online = navigator.onLine;
      if (this.online && !document.hidden) this.pool.wake();
    };
    addEventListener('online', wake);
    addEventListener('offline', wake);
    document.addEventListener('visibilitychange', wake);
  }

  // begin finds out where this page was served from, and goes on as it was left.
  async begin() {
    const asked = new URLSearchParams(location.search).getAll('relay').map(readRelay).filter((r) => r !== undefined);
    const answer = await fetch('./api/v1/page', { headers: { Accept: 'application/json' } }).catch(() => undefined); // none: no network
    const ours = answer?.ok ? await answer.json().catch(() => undefined) : undefined;
    if (ours && Array.isArray(ours.relays)) this.daemon = { name: String(ours.name ?? 'infernet'), relays: ours.relays.map(readRelay).filter((r: unknown) => r !== undefined) };
    this.own = ours?.key === true;
    if (this.daemon && ours.part === 'relay') this.daemon.relays = [location.origin.replace(/^http/, 'ws')];
    if (this.daemon) localStorage.setItem('infernet.daemon', JSON.stringify(this.daemon));
    else if (!answer) this.daemon = kept('infernet.daemon');
    this.useRelays(asked.length ? asked : settings.relays.length ? settings.relays : this.daemon?.relays ?? []);
    const token = new URLSearchParams(location.hash.split('?')[1] ?? '').get('token');
    if (token) { // from 'infernet open': out of the address at once
      history.replaceState(null, '', location.pathname + location.search + '#/market');
      dispatchEvent(new HashChangeEvent('hashchange'));
      await exchange(token).then((mine) => this.signIn('daemon', mine)).catch((err) => { this.failed = t.error(err); });
    } else {
      const how = localStorage.getItem('infernet.signin');
      if (how === 'extension' || (how === 'daemon' && sessionStorage.getItem('infernet.token')) || (how === 'bunker' && localStorage.getItem('infernet.bunker'))) await this.signIn(how).catch(() => {});
    }
    const address = readAddress(sessionStorage.getItem('infernet.wallet') ?? localStorage.getItem('infernet.wallet') ?? '');
    if (address && !this.wallet) this.useWallet(await connect(address));
  }

  useRelays(urls: string[]) { this.pool.use([...new Set(urls)].slice(0, 5)); }

  async signIn(how: Signer['how'], with_ = '') {
    const ask = (url: string) => { this.authURL = /^https:\/\//.test(url) ? url : ''; };
    let signer: Signer & { wallet?: string };
    if (how === 'extension') signer = await fromExtension();
    else if (how === 'bunker') signer = await fromBunker(with_ || localStorage.getItem('infernet.bunker') || '', ask);
    else signer = await fromDaemon(with_ || sessionStorage.getItem('infernet.token') || '');
    if (how === 'bunker' && with_) localStorage.setItem('infernet.bunker', with_.trim());
    if (how === 'daemon' && with_) sessionStorage.setItem('infernet.token', with_);
    this.signedIn(signer);
    const play = readAddress(signer.wallet ?? '');
    if (play && !this.wallet) {
      this.useWallet(await connect(play));
      this.lent = true;
    }
  }

  // invite waits for a bunker that scans an address; the address is told as soon as there is one.
  async invite(tell: (uri: string) => void) {
    const { uri, signer } = await invite(this.pool.urls, (url) => { this.authURL = /^https:\/\//.test(url) ? url : ''; });
    tell(uri);
    const { bunker, ...mine } = await signer;
    localStorage.setItem('infernet.bunker', bunker);
    this.signedIn(mine);
  }

  signedIn(signer: Signer) {
    this.authURL = '';
    this.signer = signer;
    localStorage.setItem('infernet.signin', signer.how);
  }

  signOut() {
    this.signer?.close?.();
    this.signer = undefined;
    if (this.lent) this.useWallet(undefined);
    for (const name of ['infernet.signin', 'infernet.bunker']) localStorage.removeItem(name);
    sessionStorage.removeItem('infernet.token');
  }

  useWallet(wallet: Wallet | undefined) {
    this.wallet?.close();
    this.wallet = wallet;
    this.lent = false;
    this.balance = undefined;
    this.refreshBalance();
  }

  // setWallet connects to an address. It is kept for this tab, or, where remember says so, on this device.
  async setWallet(text: string, remember: boolean) {
    const address = readAddress(text);
    if (!address) return false;
    sessionStorage.setItem('infernet.wallet', text.trim());
    if (remember) localStorage.setItem('infernet.wallet', text.trim());
    else localStorage.removeItem('infernet.wallet');
    this.useWallet(await connect(address));
    return true;
  }

  forgetWallet() {
    for (const kept of [sessionStorage, localStorage]) kept.removeItem('infernet.wallet');
    this.useWallet(undefined);
  }

  useWebLN() { this.useWallet(webln()); }

  refreshBalance() {
    const wallet = this.wallet;
    wallet?.balance?.().then((n) => { if (this.wallet === wallet) this.balance = n; }, () => {});
  }
}

export const session = new Session();

class Clock {
  now = $state(Math.floor(Date.now() / 1000));
  constructor() {
    setInterval(() => { this.now = Math.floor(Date.now() / 1000); }, 1000);
  }
}
export const clock = new Clock();
