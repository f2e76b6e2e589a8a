addEventListener('message', (m) => {
  if (m.source !== window || !m.data || m.data.from !== 'page') return;
  chrome.runtime.sendMessage({ method: m.data.method, params: m.data.params }, (answer) => {
    postMessage({ from: 'signer', id: m.data.id, ...(answer ?? { error: 'the signer is gone' }) }, location.origin);
  });
});
