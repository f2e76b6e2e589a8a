import type { Finding, Job } from './types.js';

/** What went wrong, as the gateway says it: `message` says what and what to do, `code` names it for programs. */
export class InfernetError extends Error {
  /** HTTP status; 0 if no gateway answered. */
  readonly status: number;
  readonly code: string;
  /** What is known beside it: the parameter, the job, its node, what was paid. */
  readonly facts: Record<string, unknown>;
  /** The job, if it was one that failed or was cancelled. */
  readonly job?: Job;

  constructor(message: string, status = 0, code = '', facts: Record<string, unknown> = {}, job?: Job) {
    super(message);
    this.name = 'InfernetError';
    this.status = status;
    this.code = code;
    this.facts = facts;
    this.job = job;
  }

  static of(status: number, body: string): InfernetError {
    try {
      const p = JSON.parse(body) as Finding;
      const where = (p.errors ?? []).map((e) => [e.location, e.message].filter(Boolean).join(': ')).join('; ');
      return new InfernetError([p.detail ?? p.title, where].filter(Boolean).join(': '), status, p.code, (p.infernet ?? {}) as Record<string, unknown>);
    } catch {
      return new InfernetError(`the gateway answered ${status}: ${body.slice(0, 200)}`, status);
    }
  }

  static failed(job: Job): InfernetError {
    const why = job.error;
    return new InfernetError(`job ${job.id.slice(0, 8)} ${job.status === 'cancelled' ? 'was cancelled' : 'failed'}: ${why?.message ?? 'nobody says why'}`,
      why?.status ?? 0, why?.code ?? job.status, (why?.infernet ?? {}) as Record<string, unknown>, job);
  }
}
