// node:stream/web

export const {
  ByteLengthQueuingStrategy, CompressionStream, CountQueuingStrategy, DecompressionStream, ReadableStream, TextDecoderStream, TextEncoderStream,
  TransformStream, WritableStream,
} = globalThis;
export default {
  ByteLengthQueuingStrategy, CompressionStream, CountQueuingStrategy, DecompressionStream, ReadableStream, TextDecoderStream, TextEncoderStream,
  TransformStream, WritableStream,
};
