// What the page keeps on this device, so that it shows without a network what it has seen.
const name = 'infernet', version = 1;
let opening: Promise<IDBDatabase> | undefined;

function db(): Promise<IDBDatabase> {
  return (opening ??= new Promise((resolve, reject) => {
    const ask = indexedDB.open(name, version);
    ask.onupgradeneeded = () => {
      ask.result.createObjectStore('market', { keyPath: 'id' });
      ask.result.createObjectStore('jobs', { keyPath: 'id' });
      ask.result.createObjectStore('kept', { keyPath: 'id' });
    };
    ask.onsuccess = () => resolve(ask.result);
    ask.onerror = () => reject(ask.error);
  }));
}

export type Store = 'market' | 'jobs' | 'kept';

const request = <T>(ask: IDBRequest<T>) => new Promise<T>((resolve, reject) => {
  ask.onsuccess = () => resolve(ask.result);
  ask.onerror = () => reject(ask.error);
});

export const all = async <T>(store: Store): Promise<T[]> => request((await db()).transaction(store).objectStore(store).getAll());

// put is on the disk when it returns.
export async function put(store: Store, rows: object[]): Promise<void> {
  const tx = (await db()).transaction(store, 'readwrite', { durability: 'strict' });
  for (const row of rows) tx.objectStore(store).put(row);
  await new Promise<void>((resolve, reject) => {
    tx.oncomplete = () => resolve();
    tx.onabort = tx.onerror = () => reject(tx.error);
  });
}

export async function remove(store: Store, ids: string[]): Promise<void> {
  const tx = (await db()).transaction(store, 'readwrite');
  for (const id of ids) tx.objectStore(store).delete(id);
}

export async function clear(): Promise<void> {
  const tx = (await db()).transaction(['market', 'jobs', 'kept'], 'readwrite');
  for (const store of ['market', 'jobs', 'kept']) tx.objectStore(store).clear();
}
