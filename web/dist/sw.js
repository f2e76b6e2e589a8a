// The service worker: the page opens without a network, and tells what happened while it is not in front.
const version = "b432ed8c1b84";
const files = ["./assets/base-CdLgTvhE.js","./assets/bolt11-C1sD8bK8.js","./assets/dist-BsbcV6pe.js","./assets/hkdf-O3jxx3FO.js","./assets/hmac-DBKgSYa-.js","./assets/index-7ZDMpXvH.css","./assets/index-BXlhIg4F.js","./assets/nip44-CmwSUso2.js","./assets/nip46-CZfY1BkQ.js","./assets/pool-CfIUqAgt.js","./assets/pure-Ct5jxqH4.js","./assets/scrypt-CATKocti.js","./assets/sealed-Dj9c7Sdg.js","./assets/secp256k1-C68k4pd3.js","./assets/sha2-DHX-xIm-.js","./assets/uPlot.esm-BScb58at.js","./assets/utils-Bd0eqLd2.js","./assets/verify.worker-D7r9-bfL.js","./icon-192.png","./icon-512.png","./icon.svg","./manifest.webmanifest"];

self.addEventListener('install', (e) => {
  e.waitUntil(caches.open(version).then((cache) => cache.addAll(['./', ...files.filter((f) => f !== './index.html')])).then(() => self.skipWaiting()));
});

self.addEventListener('activate', (e) => {
  e.waitUntil(
    caches.keys()
      .then((names) => Promise.all(names.filter((name) => name !== version).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

// What was built is answered from the cache, whatever origin asked for it: servers vary by Origin. Everything else (the
// daemon's API, file servers) goes to the network.
self.addEventListener('fetch', (e) => {
  const url = new URL(e.request.url);
  if (e.request.method !== 'GET' || url.origin !== self.location.origin) return;
  const here = new URL('./', self.location.href).pathname;
  if (e.request.mode === 'navigate' && (url.pathname === here || url.pathname === here + 'index.html')) {
    // the newest page where there is a network
    e.respondWith(fetch(e.request).catch(() => caches.match(new URL('./', self.location.href).href, { ignoreVary: true })));
    return;
  }
  if (files.some((file) => new URL(file, self.location.href).pathname === url.pathname)) {
    e.respondWith(caches.match(e.request, { ignoreSearch: true, ignoreVary: true }).then((hit) => hit || fetch(e.request)));
  }
});

self.addEventListener('push', (e) => {
  let said = {};
  try {
    said = e.data.json();
  } catch {
    /* a push without words */
  }
  e.waitUntil(self.registration.showNotification(String(said.title || 'Infernet'), { body: String(said.body || ''), tag: String(said.tag || ''), icon: './icon-192.png' }));
});

self.addEventListener('notificationclick', (e) => {
  e.notification.close();
  const to = (e.notification.data && e.notification.data.to) || '#/jobs';
  e.waitUntil(
    self.clients.matchAll({ type: 'window' }).then((open) => {
      if (open.length) return open[0].focus().then((w) => w.postMessage({ go: to }));
      return self.clients.openWindow('./' + to);
    }),
  );
});
