// The kinds of jobs with their parameters and bounds, as the Go program defines them: kinds.json is written from there.
import all from './kinds.json';

export interface Param { name: string; type: 'text' | 'int' | 'float' | 'bool' | 'json' | 'size'; min?: number; max?: number; values?: string[]; maxLen?: number; about: string }
export interface JobKind { number: number; name: string; alt: string; inputs: { min: number; max: number; types: string[] }; params: Param[]; unit: string; outputs: string[]; outUnit: number }

export const kinds = all as JobKind[];
const byNumber = new Map(kinds.map((k) => [k.number, k]));
export const kindOf = (number: number) => byNumber.get(number);
export const kindName = (number: number) => byNumber.get(number)?.name ?? `kind ${number}`;
