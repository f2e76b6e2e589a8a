// Names for what the OpenAPI document defines; api.ts is generated from it.
import type { components } from './api.js';

type Schemas = components['schemas'];
export type Job = Schemas['Job'];
/** What a job is ordered with. `input` is a text, a list of texts, or an object. */
export type NewJob = Omit<Schemas['NewJob'], '$schema' | 'input'> & { input: string | string[] | Record<string, unknown> };
export type Progress = Schemas['Progress'];
/** The next piece of a result: of its text, or a file. `whole`: it takes the place of all pieces before it. */
export type Partial = Schemas['Partial'];
export type File = Schemas['File'];
export type StreamEntry = Schemas['Entry'];
export type Estimate = Schemas['Estimate'];
export type Offer = Schemas['Offer'];
export type Node = Schemas['Node'];
export type Model = Schemas['Model'];
export type Budget = Schemas['BudgetOf'];
export type Receipt = Schemas['Receipt'];
export type Notice = Schemas['Notice'];
/** Why something was refused (RFC 9457). */
export type Finding = Schemas['Problem'];
