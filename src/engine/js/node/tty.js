// node:tty: a function has no terminal, and packages ask.

export const isatty = () => false;
export class ReadStream {}
export class WriteStream {}
export default { isatty, ReadStream, WriteStream };
