// node:process

const { process } = globalThis;
export const {
  abort, arch, argv, argv0, cwd, emitWarning, execArgv, exit, features, hrtime, kill, memoryUsage, nextTick, off, on, once, pid, platform, ppid, release,
  stderr, stdin, stdout, title, umask, uptime, version, versions, addListener, removeListener, removeAllListeners, emit, listeners, listenerCount,
} = process;
export { env, process as default };
const { env } = process;
