// What the guide's samples leave to their reader.
globalThis.updateUI = (partial) => console.log('partial:', JSON.stringify(partial));
