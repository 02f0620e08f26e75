// tee, after the Streams standard. Both branches of a byte stream are byte streams; they are fed whole chunks.

import { closeBytes, enqueueBytes, failBytes, respondIfPending } from "./bytestream.js";
import { deferred, strategyOf } from "./queuing.js";
import { acquireReader, cancelStream, closeController, createReadable, createReadableBytes, enqueue, failController, readFrom } from "./readable.js";

export function tee(stream) {
  const bytes = stream.controller.isBytes === true;
  const reader = acquireReader(stream);
  const cancelled = deferred();
  const branches = [{ over: false, reason: undefined }, { over: false, reason: undefined }];
  let reading = false;
  let again = false;

  const close = (controller) => (bytes ? closeBytes(controller) : closeController(controller));
  const fail = (controller, error) => (bytes ? failBytes(controller, error) : failController(controller, error));
  const open = () => branches.filter(({ over }) => !over);

  const give = (chunk) => {
    queueMicrotask(() => {
      again = false;
      for (const { state: { controller } } of open()) {
        if (bytes) enqueueBytes(controller, chunk.slice());
        else enqueue(controller, chunk);
      }
      reading = false;
      if (again) pull();
    });
  };

  const pull = () => {
    if (reading) {
      again = true;
      return Promise.resolve(undefined);
    }
    reading = true;
    readFrom(reader, {
      chunk: give,
      close: () => {
        reading = false;
        for (const { state } of open()) {
          close(state.controller);
          if (bytes) respondIfPending(state.controller);
        }
        if (open().length > 0) cancelled.resolve(undefined);
      },
      error: () => {
        reading = false;
      },
    });
    return Promise.resolve(undefined);
  };

  for (const branch of branches) {
    const cancel = (reason) => {
      branch.over = true;
      branch.reason = reason;
      if (branches.every(({ over }) => over)) cancelled.resolve(cancelStream(stream, branches.map((one) => one.reason)));
      return cancelled.promise;
    };
    [branch.face, branch.state] = bytes ? createReadableBytes(pull, cancel) : createReadable(() => undefined, pull, cancel, strategyOf(undefined, 1));
  }

  reader.closed.promise.catch((error) => {
    for (const { state } of branches) fail(state.controller, error);
    if (open().length > 0) cancelled.resolve(undefined);
  });
  return branches.map((branch) => branch.face);
}
