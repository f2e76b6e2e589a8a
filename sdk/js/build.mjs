// Builds dist: the sources as ES modules, the same as CommonJS, and the types beside both. A folder's package.json says which its
// files are.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url)), esm = join(here, 'dist/esm'), cjs = join(here, 'dist/cjs');
const tsc = join(createRequire(import.meta.url).resolve('typescript/package.json'), '../bin/tsc');
rmSync(join(here, 'dist'), { recursive: true, force: true });
if (spawnSync(process.execPath, [tsc, '-p', join(here, 'tsconfig.json')], { stdio: 'inherit' }).status !== 0) process.exit(1);
mkdirSync(cjs);
const files = readdirSync(esm);
await build({ entryPoints: files.filter((name) => name.endsWith('.js')).map((name) => join(esm, name)), outdir: cjs, format: 'cjs', platform: 'node', target: 'node20', logLevel: 'error' });
for (const name of files) if (name.endsWith('.d.ts')) copyFileSync(join(esm, name), join(cjs, name));
writeFileSync(join(esm, 'package.json'), '{"type":"module","sideEffects":false}\n');
writeFileSync(join(cjs, 'package.json'), '{"type":"commonjs"}\n');
