import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';

mount(App, { target: document.getElementById('app')! });

if ('serviceWorker' in navigator && import.meta.env.PROD) {
  navigator.serviceWorker.register('./sw.js').catch(() => {}); // not on plain http elsewhere: then it works online only
  navigator.serviceWorker.addEventListener('message', (m) => { if (typeof m.data?.go === 'string') location.hash = '#/' + m.data.go.replace(/^#?\//, ''); });
}
