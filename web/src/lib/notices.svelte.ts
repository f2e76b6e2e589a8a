// Notices: in the page, and by the service worker while it is not in front.
import { settings, type Alerts } from './settings.svelte';

export interface Notice { id: number; at: number; kind: keyof Alerts; text: string; to: string; tone: 'info' | 'success' | 'error' | 'warning'; seen: boolean }

class Notices {
  list = $state.raw<Notice[]>([]);
  toasts = $state.raw<Notice[]>([]);
  private next = 1;
  get unseen() { return this.list.filter((n) => !n.seen).length; }

  tell(kind: keyof Alerts, tone: Notice['tone'], text: string, to: string) {
    if (!settings.alerts[kind]) return;
    const notice: Notice = { id: this.next++, at: Date.now() / 1000, kind, text, to, tone, seen: false };
    this.list = [notice, ...this.list].slice(0, 200);
    this.toasts = [...this.toasts.slice(-2), notice];
    setTimeout(() => this.dismiss(notice.id), 6000);
    if (settings.alerts.system && document.hidden && 'serviceWorker' in navigator && Notification.permission === 'granted') {
      navigator.serviceWorker.ready.then((sw) => sw.showNotification('Infernet', { body: text, tag: to, icon: './icon-192.png', data: { to } }));
    }
  }
  dismiss(id: number) { this.toasts = this.toasts.filter((n) => n.id !== id); }
  seen() { this.list = this.list.map((n) => ({ ...n, seen: true })); }
}

export const notices = new Notices();
