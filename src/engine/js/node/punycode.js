// node:punycode

const BASE = 36, T_MIN = 1, T_MAX = 26, SKEW = 38, DAMP = 700;

function adapt(delta, points, first) {
  delta = Math.floor(delta / (first ? DAMP : 2));
  delta += Math.floor(delta / points);
  let k = 0;
  for (; delta > ((BASE - T_MIN) * T_MAX) >> 1; k += BASE) delta = Math.floor(delta / (BASE - T_MIN));
  return Math.floor(k + ((BASE - T_MIN + 1) * delta) / (delta + SKEW));
}

const threshold = (k, bias) => (k <= bias ? T_MIN : k >= bias + T_MAX ? T_MAX : k - bias);
const digit = (value) => String.fromCharCode(value + 22 + (value < 26 ? 75 : 0));

export const ucs2 = {
  decode: (text) => Array.from(text, (character) => character.codePointAt(0)),
  encode: (points) => String.fromCodePoint(...points),
};

export function encode(text) {
  const points = ucs2.decode(text);
  let out = points.filter((point) => point < 128).map((point) => String.fromCharCode(point)).join("");
  const basic = out.length;
  let done = basic, n = 128, delta = 0, bias = 72;
  if (basic > 0) out += "-";
  while (done < points.length) {
    const next = Math.min(...points.filter((point) => point >= n));
    delta += (next - n) * (done + 1);
    n = next;
    for (const point of points) {
      if (point < n) delta++;
      if (point !== n) continue;
      let q = delta;
      for (let k = BASE; ; k += BASE) {
        const t = threshold(k, bias);
        if (q < t) break;
        out += digit(t + ((q - t) % (BASE - t)));
        q = Math.floor((q - t) / (BASE - t));
      }
      out += digit(q);
      bias = adapt(delta, done + 1, done === basic);
      delta = 0;
      done++;
    }
    delta++;
    n++;
  }
  return out;
}

export function decode(text) {
  const last = text.lastIndexOf("-");
  const out = last > 0 ? ucs2.decode(text.slice(0, last)) : [];
  let n = 128, i = 0, bias = 72;
  for (let at = last > 0 ? last + 1 : 0; at < text.length; ) {
    const before = i;
    for (let w = 1, k = BASE; ; k += BASE) {
      const value = parseInt(text[at++] ?? "", 36);
      if (Number.isNaN(value)) throw new RangeError("Invalid input");
      // 0 to 9 stand for 26 to 35 here.
      const number = value < 10 ? value + 26 : value - 10;
      i += number * w;
      const t = threshold(k, bias);
      if (number < t) break;
      w *= BASE - t;
    }
    bias = adapt(i - before, out.length + 1, before === 0);
    n += Math.floor(i / (out.length + 1));
    i %= out.length + 1;
    out.splice(i++, 0, n);
  }
  return ucs2.encode(out);
}

const labels = (domain, change) => domain.split(/[.\u3002\uff0e\uff61]/).map(change).join(".");
export const toASCII = (domain) => labels(domain, (label) => (/[^\0-\x7f]/.test(label) ? `xn--${encode(label)}` : label));
export const toUnicode = (domain) => labels(domain, (label) => (label.startsWith("xn--") ? decode(label.slice(4).toLowerCase()) : label));
export const version = "2.3.1";
export default { decode, encode, toASCII, toUnicode, ucs2, version };
