// The kinds of jobs there are, by the words that orders use: numbers of request events. A result's is 1000 more.
export const kinds = { transcription: 5000, summary: 5001, translation: 5002, text: 5050, image: 5100, speech: 5250, embeddings: 5800, rendering: 5810, batch: 5820 } as const;
