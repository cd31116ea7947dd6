/** Runs `work` while holding a lock file; `onWait` is called once when somebody else holds it. */
export function withLock<Value>(file: string, onWait: () => void, work: () => Promise<Value>): Promise<Value>;
