import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import tailwindcss from '@tailwindcss/vite';
import { defineConfig, type Plugin } from 'vite';

// offline writes the service worker: src/sw.js with the names of all that was built, so that the page opens without a network.
function offline(): Plugin {
  return {
    name: 'offline',
    apply: 'build',
    generateBundle(_, bundle) {
      const files = [...Object.keys(bundle), ...readdirSync('public')].filter((name) => name !== 'sw.js').sort();
      const version = createHash('sha256');
      for (const name of files) {
        const part = bundle[name];
        version.update(name).update(part ? (part.type === 'chunk' ? part.code : part.source) : readFileSync(`public/${name}`));
      }
      const source = readFileSync('src/sw.js', 'utf8')
        .replace("'VERSION'", JSON.stringify(version.digest('hex').slice(0, 12)))
        .replace("['FILES']", JSON.stringify(files.map((name) => `./${name}`)));
      this.emitFile({ type: 'asset', fileName: 'sw.js', source });
    },
  };
}

export default defineConfig({
  base: './', // the page may lie in any folder of any host
  resolve: { alias: { '@sdk': fileURLToPath(new URL('../sdk/js/src', import.meta.url)) } }, // events and Fold are ported once, there
  plugins: [svelte(), tailwindcss(), offline()],
  build: { target: 'es2022', modulePreload: { polyfill: false }, assetsInlineLimit: 0, reportCompressedSize: true },
  worker: { format: 'es' },
});
