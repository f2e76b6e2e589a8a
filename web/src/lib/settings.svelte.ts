// What this browser remembers of its user's choices.
export interface Alerts { done: boolean; failed: boolean; offers: boolean; budget: boolean; node: boolean; system: boolean }
interface Settings { theme: 'system' | 'light' | 'dark'; relays: string[]; alerts: Alerts; budgetDay: number; maxCost: number }

const standard: Settings = { theme: 'system', relays: [], alerts: { done: true, failed: true, offers: false, budget: true, node: true, system: false }, budgetDay: 10_000, maxCost: 100 };

function load(): Settings {
  try {
    const kept = JSON.parse(localStorage.getItem('infernet.settings') ?? '{}');
    return { ...standard, ...kept, alerts: { ...standard.alerts, ...kept.alerts } };
  } catch {
    return standard;
  }
}

export const settings = $state(load());

$effect.root(() => {
  $effect(() => {
    localStorage.setItem('infernet.settings', JSON.stringify(settings));
  });
  $effect(() => {
    if (settings.theme === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = settings.theme;
  });
});

// readRelay reads a relay's address as people type it; undefined if it is none.
export function readRelay(text: string): string | undefined {
  text = text.trim();
  if (!text) return;
  if (!/^[a-z+]+:\/\//i.test(text)) text = (/^(localhost|127\.|\[::1\])/.test(text) ? 'ws://' : 'wss://') + text;
  try {
    const url = new URL(text);
    if ((url.protocol !== 'wss:' && url.protocol !== 'ws:') || url.username || url.password) return;
    return url.href.replace(/\/$/, '');
  } catch {
    return;
  }
}
