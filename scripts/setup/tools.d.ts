/** Installs what tools/NAME lists, once; `prepare` runs after an installation. The folder that holds node_modules. */
export function installTools(name: string, prepare?: (folder: string) => Promise<void>): Promise<string>;
