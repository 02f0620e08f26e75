// node:util/types

const tag = (value) => Object.prototype.toString.call(value).slice(8, -1);
const isObject = (value) => typeof value === "object" && value !== null;
const tagged = (...names) => (value) => isObject(value) && names.includes(tag(value));
const getTypedName = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag).get;
const typed = (name) => (value) => ArrayBuffer.isView(value) && getTypedName.call(value) === name;

export const isAnyArrayBuffer = tagged("ArrayBuffer", "SharedArrayBuffer");
export const isArrayBuffer = (value) => value instanceof ArrayBuffer;
export const isSharedArrayBuffer = tagged("SharedArrayBuffer");
export const isArrayBufferView = ArrayBuffer.isView;
export const isTypedArray = (value) => ArrayBuffer.isView(value) && !(value instanceof DataView);
export const isDataView = (value) => value instanceof DataView;
export const isUint8Array = typed("Uint8Array");
export const isUint8ClampedArray = typed("Uint8ClampedArray");
export const isUint16Array = typed("Uint16Array");
export const isUint32Array = typed("Uint32Array");
export const isInt8Array = typed("Int8Array");
export const isInt16Array = typed("Int16Array");
export const isInt32Array = typed("Int32Array");
export const isFloat32Array = typed("Float32Array");
export const isFloat64Array = typed("Float64Array");
export const isBigInt64Array = typed("BigInt64Array");
export const isBigUint64Array = typed("BigUint64Array");
export const isArgumentsObject = tagged("Arguments");
export const isAsyncFunction = (value) => typeof value === "function" && /^(Async|AsyncGenerator)Function$/.test(tag(value));
export const isGeneratorFunction = (value) => typeof value === "function" && /GeneratorFunction$/.test(tag(value));
export const isGeneratorObject = tagged("Generator", "AsyncGenerator");
export const isDate = tagged("Date");
export const isRegExp = tagged("RegExp");
export const isMap = tagged("Map");
export const isSet = tagged("Set");
export const isWeakMap = tagged("WeakMap");
export const isWeakSet = tagged("WeakSet");
export const isMapIterator = tagged("Map Iterator");
export const isSetIterator = tagged("Set Iterator");
export const isPromise = (value) => value instanceof Promise;
export const isProxy = () => false;
export const isExternal = () => false;
export const isModuleNamespaceObject = tagged("Module");
export const isNativeError = (value) => value instanceof Error;
export const isBooleanObject = (value) => isObject(value) && tag(value) === "Boolean";
export const isNumberObject = (value) => isObject(value) && tag(value) === "Number";
export const isStringObject = (value) => isObject(value) && tag(value) === "String";
export const isSymbolObject = (value) => isObject(value) && tag(value) === "Symbol";
export const isBigIntObject = (value) => isObject(value) && tag(value) === "BigInt";
export const isBoxedPrimitive = tagged("Boolean", "Number", "String", "Symbol", "BigInt");
export const isCryptoKey = (value) => isObject(value) && value.constructor?.name === "CryptoKey";
export const isKeyObject = (value) => isObject(value) && value.constructor?.name === "KeyObject";

export default {
  isAnyArrayBuffer, isArrayBuffer, isSharedArrayBuffer, isArrayBufferView, isTypedArray, isDataView, isUint8Array, isUint8ClampedArray,
  isUint16Array, isUint32Array, isInt8Array, isInt16Array, isInt32Array, isFloat32Array, isFloat64Array, isBigInt64Array, isBigUint64Array,
  isArgumentsObject, isAsyncFunction, isGeneratorFunction, isGeneratorObject, isDate, isRegExp, isMap, isSet, isWeakMap, isWeakSet,
  isMapIterator, isSetIterator, isPromise, isProxy, isExternal, isModuleNamespaceObject, isNativeError, isBooleanObject, isNumberObject,
  isStringObject, isSymbolObject, isBigIntObject, isBoxedPrimitive, isCryptoKey, isKeyObject,
};
