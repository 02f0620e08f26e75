// Elements without markup: every text is a text node, so nothing that a guest wrote is ever parsed.

const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "open", "hidden", "tabIndex", "title"]);

// h("button", { class: "quiet", onclick: f }, "text", [more], null)
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (PROPERTIES.has(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

export function append(element, children) {
  for (const child of children.flat(9)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren();
  return append(element, children);
}

// Sets a text only where it is another one, so that a selection survives and nothing is laid out for nothing.
export function text(element, value) {
  const wanted = String(value);
  if (element.textContent !== wanted) element.textContent = wanted;
}

// What a guest wrote, with what would hide or turn around text made visible.
export function guest(value) {
  return String(value ?? "").replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"),
  );
}

// Keeps the rows of a list by key: rows that stay keep their focus and selection.
export function keyed(parent, items, keyOf, make, update) {
  const known = parent.__rows || (parent.__rows = new Map());
  const seen = new Set();
  let before = null;
  for (const item of items) {
    const key = keyOf(item);
    seen.add(key);
    let row = known.get(key);
    if (!row) {
      row = make(item);
      known.set(key, row);
    }
    if (update) update(row, item);
    const next = before ? before.nextSibling : parent.firstChild;
    if (row !== next) parent.insertBefore(row, next);
    before = row;
  }
  for (const [key, row] of known) {
    if (!seen.has(key)) {
      row.remove();
      known.delete(key);
    }
  }
}

// Tells a screen reader.
export function say(message) {
  const place = document.getElementById("said");
  if (place) text(place, message);
}
