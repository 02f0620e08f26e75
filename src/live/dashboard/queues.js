// Queues, topics, crons and key-value stores: what waits, what comes next, and the means to make it happen.

import { get, part, post } from "./api.js";
import { fill, guest, h, keyed, text } from "./dom.js";
import { clock, count, day, span } from "./format.js";
import { t } from "./i18n.js";
import { live } from "./live.js";
import { action, back, drawLine, empty, explain, meter, sparkline } from "./parts.js";

class Messages {
  constructor(root) {
    this.queues = h("div", { class: "cards" });
    this.topics = h("div", { class: "cards" });
    this.crons = h("tbody");
    this.stores = h("div", { class: "cards small" });
    this.sections = {
      queues: h("section", { class: "stack" }, h("h2", {}, t("queues.queues")), this.queues),
      topics: h("section", { class: "stack" }, h("h2", {}, t("queues.topics")), this.topics),
      crons: h("section", { class: "stack" }, h("h2", {}, t("queues.crons")), h("div", { class: "sheet scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["cron", "schedule", "next", "last", "do"].map((one) => h("th", { scope: "col" }, t(`col.${one}`))))), this.crons))),
      stores: h("section", { class: "stack" }, h("h2", {}, t("queues.stores")), this.stores),
    };
    this.nothing = empty(t("queues.none"));
    fill(root, h("h1", { class: "unseen" }, t("nav.queues")), Object.values(this.sections), this.nothing);
    this.asked = performance.now();
    this.update();
  }

  update() {
    const queues = [...live.queues.values()];
    this.sections.queues.hidden = queues.length === 0;
    this.sections.topics.hidden = live.topics.length === 0;
    this.sections.crons.hidden = live.crons.length === 0;
    this.sections.stores.hidden = live.stores.length === 0;
    this.nothing.hidden = Boolean(!live.health || queues.length || live.topics.length || live.crons.length || live.stores.length);
    keyed(this.queues, queues, (one) => one.name, queueCard, (card, one) => card.__set(one));
    keyed(this.topics, live.topics, (one) => one.name, topicCard);
    keyed(this.crons, live.crons, (one) => one.name, cronRow, (row, one) => {
      text(row.cells[2], (one.next || []).map(when).join(" · "));
      text(row.cells[3], one.last ? `${day(one.last)} ${clock(one.last)}` : "–");
    });
    keyed(this.stores, live.stores, (one) => one.name, storeCard, (card, one) => text(card.querySelector(".value"), t("queues.keys", { n: one.keys })));
    // Next runs and numbers of keys are not in the events.
    if (performance.now() - this.asked > 3_000) {
      this.asked = performance.now();
      live.refresh().catch(() => {});
    }
  }

  destroy() {}
}

// A next run as its own zone shows it.
function when(at) {
  return String(at).replace(/:00 /, " ").replace(/T/, " ").replace(/\.\d+/, "");
}

function counts() {
  return { visible: meter(t("queues.visible"), "visible"), in_flight: meter(t("queues.inflight"), "in_flight"), delayed: meter(t("queues.delayed"), "delayed"), dead: meter(t("queues.dead"), "dead") };
}

function setCounts(m, one) {
  for (const key of Object.keys(m)) m[key].set(count(one[key]), "", key === "dead" && one[key] ? "bad" : "");
}

function depth(name) {
  const all = live.depths.get(name) || [];
  const now = performance.now();
  const bins = new Array(60).fill(0);
  let at = 0;
  for (let bin = 0; bin < bins.length; bin += 1) {
    const until = now - (bins.length - 1 - bin) * 1_000;
    while (at < all.length && all[at][0] <= until) at += 1;
    const last = all[at - 1];
    bins[bin] = last ? last[1] + last[2] + last[3] : 0;
  }
  return bins;
}

function queueCard(one) {
  const m = counts();
  const line = sparkline(depth(one.name));
  const about = h("p", { class: "quiet" });
  const element = h(
    "article",
    { class: "sheet card", data: { queue: one.name } },
    h("header", {}, h("h2", {}, h("a", { href: `#/queues/queue/${part(one.name)}` }, guest(one.name))), line),
    h("div", { class: "figures-grid" }, Object.values(m).map((each) => each.element)),
    about,
  );
  element.__set = (now) => {
    setCounts(m, now);
    drawLine(line, depth(now.name));
    const words = [];
    if (now.consumer) words.push(t("queues.consumer", { name: guest(now.consumer) }));
    if (now.dead_letter) words.push(t("queues.deadletter", { n: now.max_receives ?? 0, name: guest(now.dead_letter) }));
    if (now.fifo) words.push("FIFO");
    text(about, words.join(" · "));
  };
  element.__set(one);
  return element;
}

function sendForm(path, fifo, done) {
  const body = h("textarea", { rows: "3", id: "message", "aria-label": t("queues.body"), spellcheck: "false" });
  body.value = '{"id": 1}';
  const group = fifo ? h("input", { id: "group", placeholder: t("queues.group"), "aria-label": t("queues.group"), required: true }) : null;
  const result = h("span", { role: "status", class: "sent" });
  const submit = async (event) => {
    event.preventDefault();
    let value = body.value;
    try {
      value = JSON.parse(value);
    } catch {
      // A text is sent as it is.
    }
    try {
      const sent = await post(path, { body: value, ...(group ? { group: group.value, deduplication: `${Date.now()}` } : {}) });
      result.className = "sent good";
      text(result, t("queues.sent", { id: sent.id.slice(-6) }));
      if (done) done();
    } catch (error) {
      result.className = "sent bad";
      text(result, explain(error));
    }
  };
  return h("form", { class: "stack", onsubmit: submit }, body, h("div", { class: "inline" }, group, h("button", { class: "main", id: "send-message" }, t("request.send")), result));
}

function topicCard(one) {
  return h(
    "article",
    { class: "sheet card", data: { topic: one.name } },
    h("h2", {}, guest(one.name)),
    h("p", { class: "quiet" }, one.subscriptions.length ? t("queues.subscribers", { names: one.subscriptions.map(guest).join(", ") }) : t("queues.nobody")),
    h("details", {}, h("summary", {}, t("queues.publish")), sendForm(`topics/${part(one.name)}/messages`, false)),
  );
}

function cronRow(one) {
  const fire = action(
    t("queues.fire"),
    async () => {
      const fired = await post(`crons/${part(one.name)}/fire`);
      location.hash = `#/invocations/${part(fired.invocation)}`;
    },
    { data: { fire: one.name } },
  );
  return h("tr", { data: { cron: one.name } }, h("td", {}, h("b", {}, guest(one.name)), h("div", { class: "quiet" }, guest(one.function))), h("td", {}, h("code", {}, guest(one.schedule)), h("div", { class: "quiet" }, guest(one.timezone))), h("td", { class: "figures" }), h("td", { class: "figures" }), h("td", {}, fire));
}

function storeCard(one) {
  return h("article", { class: "sheet card", data: { store: one.name } }, h("h2", {}, h("a", { href: `#/queues/kv/${part(one.name)}` }, guest(one.name))), h("p", { class: "value quiet" }));
}

class OneQueue {
  constructor(root, name) {
    this.name = name;
    this.meters = counts();
    this.line = sparkline(depth(name), 320, 60);
    this.body = h("tbody");
    this.note = h("p", { class: "quiet" });
    this.key = "";
    const one = live.queues.get(name);
    fill(
      root,
      back("#/queues", t("nav.queues")),
      h("div", { class: "title" }, h("h1", {}, guest(name)), this.line),
      h("section", { class: "sheet figures-grid wide" }, Object.values(this.meters).map((each) => each.element)),
      h("div", { class: "columns" },
        h("section", { class: "sheet" }, h("h2", {}, t("queues.send")), sendForm(`queues/${part(name)}/messages`, one && one.fifo, () => this.peek())),
        h("section", { class: "sheet" }, h("h2", {}, t("queues.do")), this.note, h("div", { class: "inline" }, action(t("queues.redrive"), () => this.act("redrive"), { id: "redrive" }), action(t("queues.purge"), () => this.purge(), { class: "danger", id: "purge" }))),
      ),
      h("section", { class: "sheet" }, h("h2", {}, t("queues.messages")), h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ["message", "state", "sent", "receives", "body"].map((each) => h("th", { scope: "col" }, t(`col.${each}`))))), this.body))),
    );
    this.update();
  }

  async act(what) {
    await post(`queues/${part(this.name)}/${what}`);
    await live.refresh();
    this.peek();
  }

  async purge() {
    if (confirm(t("queues.sure", { name: this.name }))) await this.act("purge");
  }

  async peek() {
    const list = await get(`queues/${part(this.name)}/messages?max=50`).catch(() => []);
    fill(
      this.body,
      list.map((one) =>
        h("tr", { data: { message: one.id } }, h("td", {}, h("a", { href: `#/why/${part(one.id)}` }, `…${one.id.slice(-6)}`)), h("td", {}, t(`message.${one.state.replace(" ", "_")}`), one.until ? h("div", { class: "quiet figures" }, clock(one.until)) : null), h("td", { class: "figures" }, clock(one.sent_at)), h("td", { class: "figures" }, count(one.receive_count), one.source ? h("div", { class: "quiet" }, t("queues.from", { name: guest(one.source) })) : null), h("td", {}, h("pre", { class: "small" }, guest(typeof one.body === "string" ? one.body : JSON.stringify(one.body, null, 1))))),
      ),
      list.length ? null : h("tr", {}, h("td", { colspan: "5", class: "quiet" }, t("queues.empty"))),
    );
  }

  update() {
    const one = live.queues.get(this.name);
    if (!one) return;
    setCounts(this.meters, one);
    drawLine(this.line, depth(this.name));
    const words = [one.consumer ? t("queues.consumer", { name: guest(one.consumer) }) : t("queues.noconsumer"), t("queues.visibility", { time: span(one.visibility_timeout_ms) })];
    if (one.dead_letter) words.push(t("queues.deadletter", { n: one.max_receives ?? 0, name: guest(one.dead_letter) }));
    text(this.note, words.join(" · "));
    const key = `${one.visible} ${one.in_flight} ${one.delayed}`;
    if (key !== this.key) {
      this.key = key;
      this.peek();
    }
  }

  destroy() {}
}

class Store {
  constructor(root, name) {
    this.name = name;
    this.prefix = "";
    this.cursor = null;
    this.body = h("tbody");
    this.more = h("button", { type: "button", hidden: true, onclick: () => this.load(true) }, t("kv.more"));
    this.value = h("section", { class: "sheet" }, h("p", { class: "quiet" }, t("kv.choose")));
    const search = h("input", { id: "prefix", type: "search", placeholder: t("kv.prefix"), "aria-label": t("kv.prefix"), oninput: (event) => {
      this.prefix = event.target.value;
      this.load();
    } });
    fill(
      root,
      back("#/queues", t("nav.queues")),
      h("h1", {}, guest(name)),
      h("div", { class: "columns" }, h("section", { class: "sheet" }, search, h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("col.key")), h("th", { scope: "col" }, t("col.expires")))), this.body)), this.more), this.value),
    );
    this.load();
  }

  async load(more) {
    const query = `prefix=${part(this.prefix)}&limit=100${more && this.cursor ? `&cursor=${part(this.cursor)}` : ""}`;
    const page = await get(`kv/${part(this.name)}?${query}`).catch(() => ({ keys: [] }));
    this.cursor = page.cursor || null;
    this.more.hidden = !this.cursor;
    const rows = page.keys.map((key) => h("tr", { data: { key: key.name } }, h("td", {}, h("button", { type: "button", class: "link mono", onclick: () => this.show(key.name) }, guest(key.name))), h("td", { class: "figures quiet" }, key.expires_at ? clock(key.expires_at) : "–")));
    if (more) this.body.append(...rows);
    else fill(this.body, rows, rows.length ? null : h("tr", {}, h("td", { colspan: "2", class: "quiet" }, t("kv.empty"))));
  }

  async show(key) {
    try {
      const one = await get(`kv/${part(this.name)}/value?key=${part(key)}`);
      const area = h("textarea", { rows: "10", id: "kv-value", "aria-label": t("kv.value"), spellcheck: "false" });
      area.value = one.value ?? one.base64 ?? "";
      const binary = one.value === undefined;
      fill(
        this.value,
        h("h2", { class: "mono" }, guest(key)),
        binary ? h("p", { class: "quiet" }, t("kv.binary")) : null,
        area,
        h("div", { class: "inline" },
          action(t("kv.save"), () => post(`kv/${part(this.name)}/put`, { key, [binary ? "base64" : "value"]: area.value, ...(one.metadata ? { metadata: one.metadata } : {}) }), { class: "main" }),
          action(t("kv.delete"), async () => {
            await post(`kv/${part(this.name)}/delete`, { key });
            fill(this.value, h("p", { class: "quiet" }, t("kv.choose")));
            this.load();
          }, { class: "danger" }),
        ),
        one.expires_at ? h("p", { class: "quiet" }, `${t("col.expires")}: ${day(one.expires_at)} ${clock(one.expires_at)}`) : null,
        one.metadata ? h("pre", { class: "small" }, guest(JSON.stringify(one.metadata, null, 1))) : null,
      );
    } catch (error) {
      fill(this.value, h("p", { class: "bad" }, explain(error)));
    }
  }

  update() {}
  destroy() {}
}

export function view(root, [kind, name]) {
  if (kind === "queue" && name) return new OneQueue(root, name);
  if (kind === "kv" && name) return new Store(root, name);
  return new Messages(root);
}
