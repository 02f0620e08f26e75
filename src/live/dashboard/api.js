// The control API: what the page asks and does, a script can ask and do.

const KEY = "emu.token";
let token = null;
try {
  token = sessionStorage.getItem(KEY);
} catch {
  // Storage may be off; the token is asked for after each load then.
}

export function setToken(value) {
  token = value;
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // As above.
  }
}

export class ApiError extends Error {
  constructor(status, error) {
    super(error.message || `status ${status}`);
    this.status = status;
    this.code = error.code || "";
    this.remedy = error.remedy || "";
  }
}

function headers(more) {
  const all = { ...more };
  if (token) all.authorization = `Bearer ${token}`;
  return all;
}

async function answer(response) {
  let value = null;
  try {
    value = await response.json();
  } catch {
    // An answer without a body, or one that broke off.
  }
  if (response.ok) return value;
  throw new ApiError(response.status, (value && value.error) || {});
}

export async function get(path) {
  return answer(await fetch("/_emu/" + path, { headers: headers() }));
}

export async function post(path, body) {
  const options = {
    method: "POST",
    headers: headers({ "content-type": "application/json" }),
    body: body === undefined ? "" : JSON.stringify(body),
  };
  return answer(await fetch("/_emu/" + path, options));
}

// The events as they come, one call for each chunk of them; ends when the connection does.
export async function events(onOpen, onEvents, signal) {
  const response = await fetch("/_emu/events?sample", { headers: headers(), signal });
  if (!response.ok) throw new ApiError(response.status, {});
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  onOpen();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    const batch = [];
    for (const line of lines) {
      if (line.startsWith("data:")) batch.push(JSON.parse(line.slice(5)));
    }
    if (batch.length) onEvents(batch);
  }
}

export const part = encodeURIComponent;
