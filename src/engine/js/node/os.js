// node:os: a machine as a cloud function sees it

import { environment } from "emu:prelude/environment.js";

const memory = () => (environment.settings.memoryMb ?? 128) * 1048576;

export const EOL = "\n";
export const devNull = "/dev/null";
export const constants = { signals: {}, errno: {}, priority: {} };
export const arch = () => "x64";
export const availableParallelism = () => 1;
export const cpus = () => [{ model: "emu", speed: 0, times: { user: 0, nice: 0, sys: 0, idle: 0, irq: 0 } }];
export const endianness = () => "LE";
export const freemem = memory;
export const totalmem = memory;
export const homedir = () => "/";
export const hostname = () => "localhost";
export const loadavg = () => [0, 0, 0];
export const machine = () => "x86_64";
export const networkInterfaces = () => ({});
export const platform = () => "linux";
export const release = () => "";
export const tmpdir = () => "/tmp";
export const type = () => "Linux";
export const uptime = () => performance.now() / 1e3;
export const userInfo = () => ({ uid: -1, gid: -1, username: "emu", homedir: "/", shell: null });
export const version = () => "";

export default {
  arch, availableParallelism, constants, cpus, devNull, endianness, EOL, freemem, homedir, hostname, loadavg, machine, networkInterfaces, platform,
  release, tmpdir, totalmem, type, uptime, userInfo, version,
};
