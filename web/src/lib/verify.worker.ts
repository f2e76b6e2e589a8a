import { verifyEvent } from 'nostr-tools/pure';
import type { Event } from './relay';

onmessage = (m: MessageEvent<(Event | null)[]>) => {
  postMessage(m.data.map((ev) => {
    if (!ev) return true;
    try {
      return verifyEvent({ ...ev });
    } catch {
      return false;
    }
  }));
};
