import type { File, Job, Partial } from './types.js';

const whole = (base: string, file: File): File => ({ ...file, url: file.url.startsWith('/') ? base + file.url : file.url });

/** A job with the addresses of its files whole. */
export function wholeJob(base: string, job: Job): Job {
  if (!job.files?.length) return job;
  const files = job.files.map((file) => whole(base, file)), at = job.files.findIndex((file) => file.url === job.output);
  return { ...job, files, ...(at < 0 ? {} : { output: files[at].url }) };
}

/** The same of a piece of its result. */
export function wholePartial(base: string, piece: Partial): Partial {
  return piece.file ? { ...piece, file: whole(base, piece.file) } : piece;
}
