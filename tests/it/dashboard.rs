//! The dashboard in a real browser, and the endpoints that came with it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use http::Method;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::harness::{Emu, Project, request};
use crate::nats::Nats;

const SLOW: &str = "export default {
  async fetch() {
    await new Promise((done) => setTimeout(done, 120));
    return new Response('done');
  },
};";

/// Keep-alive in five seconds, cold starts that take their time.
const SCALED: [&str; 4] = ["--clock", "x60", "--cold-starts", "sleep"];

fn slow() -> Emu {
    Project::new(&[
        ("functions/slow.js", SLOW),
        ("emu.toml", "[functions.slow]\nhttp = \"GET /\"\nkeep_alive = \"2m\"\n"),
    ])
    .start_with(&SCALED)
}

type Part = fn(&Browser);

/// One session for all of it: starting a browser takes longer than what it looks at.
#[test]
fn the_dashboard_in_a_browser() {
    if std::env::var("EMU_TEST_BROWSER").is_ok_and(|value| value == "off") {
        return;
    }
    let browser = Browser::start();
    let parts: [(&str, Part); 15] = [
        ("every view loads", every_view_loads),
        ("a cold start appears and vanishes", a_cold_start_appears_and_vanishes),
        ("errors are shown", errors_are_shown),
        ("guest text stays text", guest_text_stays_text),
        ("messages are sent and purged", messages_are_sent_and_purged),
        ("crons fire", crons_fire),
        ("requests are sent and kept", requests_are_sent_and_kept),
        ("requests and answers are shown", requests_and_answers_are_shown),
        ("the address for phones is shown", the_address_for_phones_is_shown),
        ("sliders change the emulator", sliders_change_the_emulator),
        ("a flood is sampled, and told", a_flood_is_sampled_and_told),
        ("a manual clock is moved by hand", a_manual_clock_is_moved_by_hand),
        ("a restart is survived", a_restart_is_survived),
        ("the tour leads through", the_tour_leads_through),
        ("a group is shown whole", a_group_is_shown_whole),
    ];
    // All of them, so that one run tells all that is wrong.
    let mut failed = Vec::new();
    for (name, part) in parts {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            browser.screen(1_440, 900, false);
            part(&browser);
        }));
        let console = browser.console();
        if outcome.is_err() || !console.is_empty() {
            failed.push(format!("{name} {console:?}"));
        }
    }
    assert_eq!(failed, Vec::<String>::new(), "what failed, and what the console said");
}

fn at(emu: &Emu, place: &str) -> String {
    format!("{}/{place}", emu.control_url())
}

fn open(browser: &Browser, emu: &Emu, place: &str) {
    browser.open("about:blank");
    browser.open(&at(emu, place));
    browser.until("document.querySelector('#connection').dataset.state === 'live'");
}

fn every_view_loads(browser: &Browser) {
    let emu = Project::example("orders").start();
    for card in ["0002", "4242", "4242"] {
        let order = json!({ "card": card, "items": [{ "product": "mug", "quantity": 2 }] });
        assert!(emu.post("/orders", &order).status.is_success());
    }
    emu.get("/products");
    emu.control_post("/_emu/crons/report/fire", &json!({}));
    emu.wait("invocation", |one| one["function"] == "report");
    emu.wait("invocation", |one| one["function"] == "billing");
    let invocation = emu.control("/_emu/invocations?function=billing")[0]["id"].clone();
    let invocation = format!("#/invocations/{}", invocation.as_str().expect("an id"));
    let views = [
        (
            "timeline",
            "#/timeline",
            "document.querySelectorAll('.lane').length === 4",
        ),
        (
            "functions",
            "#/functions",
            "document.querySelectorAll('.card').length === 4",
        ),
        ("function", "#/functions/api", "document.querySelector('#send')"),
        (
            "invocations",
            "#/invocations",
            "document.querySelectorAll('tr[data-id]').length >= 6",
        ),
        (
            "invocation",
            invocation.as_str(),
            "document.querySelector('.chain .hop')",
        ),
        ("messages", "#/queues", "document.querySelector('[data-cron=report]')"),
        ("queue", "#/queues/queue/orders", "document.querySelector('#purge')"),
        ("bill", "#/bill", "document.querySelector('.bars')"),
        ("demo", "#/demo", "document.querySelector('#clock-factor')"),
    ];
    let looks = [
        ("light", "?lang=en", (1_440, 900, false)),
        ("dark", "?lang=en", (1_440, 900, true)),
        ("portuguese", "?lang=pt", (1_440, 900, false)),
        ("phone", "?lang=en", (390, 844, false)),
    ];
    for (look, query, (width, height, dark)) in looks {
        browser.screen(width, height, dark);
        for (name, place, there) in views {
            open(browser, &emu, &format!("{query}{place}"));
            browser.until(there);
            let wide = browser.value("document.documentElement.scrollWidth <= innerWidth + 1");
            assert_eq!(wide, true, "{name} in {look} is not wider than the screen");
            browser.screenshot(&format!("{name}-{look}"));
        }
    }
    let keys = "[...document.querySelectorAll('#nav a')].map((a) => a.textContent).join()";
    open(browser, &emu, "?lang=pt#/bill");
    assert_eq!(
        browser.value(keys),
        "Linha do tempo,Funções,Invocações,Mensagens,Conta,Demonstração"
    );
    assert_eq!(browser.value("document.documentElement.lang"), "pt-BR");
    // The figures on the keyboard lead to the views, buttons and fields have names.
    browser.value("document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '2', bubbles: true })) && null");
    browser.until("location.hash === '#/functions'");
    let nameless = "[...document.querySelectorAll('button, select, input, textarea, canvas[tabindex]')]
        .filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length)).length";
    for place in [
        "#/timeline",
        "#/functions/api",
        "#/invocations",
        "#/queues/queue/orders",
        "#/demo",
    ] {
        open(browser, &emu, place);
        browser.until("document.querySelector('main').children.length > 0");
        assert_eq!(browser.value(nameless), 0, "{place}");
    }
}

fn a_cold_start_appears_and_vanishes(browser: &Browser) {
    let emu = slow();
    open(browser, &emu, "#/timeline");
    browser.until("document.querySelector('.lane[data-function=slow]').dataset.instances === '0'");
    browser.click("details summary");
    assert_eq!(emu.get("/").text(), "done");
    browser.until("document.querySelector('.lane').dataset.instances === '1'");
    browser.until("document.querySelector('.lane').dataset.cold === '1'");
    browser.until("document.querySelector('tr[data-instance=\"1\"]').dataset.state === 'idle'");
    // What is drawn is what is told: pixels of the bar in the colour of an idle instance.
    let drawn = "(() => {
      const canvas = document.querySelector('.stage canvas');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const hex = getComputedStyle(document.body).getPropertyValue('--idle').trim();
      const n = parseInt(hex.slice(1), 16);
      let many = 0;
      for (let i = 0; i < data.length; i += 4) {
        if (data[i] === n >> 16 && data[i + 1] === ((n >> 8) & 255) && data[i + 2] === (n & 255)) many += 1;
      }
      return many > 50;
    })()";
    browser.until(drawn);
    browser.screenshot("cold-start");
    // Two minutes of keep-alive, two seconds here.
    browser.until("document.querySelector('.lane').dataset.instances === '0'");
    browser.until("document.querySelector('tr[data-instance=\"1\"]').dataset.state === 'gone'");
    browser.until_text("idle for 2m");
    let ours = emu.wait("instance", |one| one["state"] == "gone");
    assert_eq!(ours["reason"], "idle for 2m");
}

fn errors_are_shown(browser: &Browser) {
    let emu = Project::new(&[
        (
            "functions/fails.js",
            "export default { fetch() { console.error('about to fail'); throw new TypeError('no such order'); } };",
        ),
        (
            "functions/broken.js",
            "export default { fetch() { return new Response( } };",
        ),
    ])
    .start();
    assert_eq!(emu.get("/fails").status, 502);
    open(browser, &emu, "#/functions");
    browser.until("document.querySelector('.card[data-function=broken] .problem').textContent.includes('broken.js')");
    browser
        .until("document.querySelector('.card[data-function=fails] [data-figure=errors] .value').textContent === '1'");
    browser.screenshot("errors");
    open(browser, &emu, "#/invocations");
    browser.set("#by-outcome", "bad");
    browser.until("document.querySelectorAll('tr[data-id]').length === 1");
    browser.until_text("no such order");
    browser.fill("#search", "nothing like it");
    browser.until("document.querySelectorAll('tr[data-id]').length === 0");
    browser.fill("#search", "TypeError");
    browser.click("tr[data-id] a");
    browser.until_text("about to fail");
    browser.until("document.querySelector('.problem').textContent.includes('fails.js')");
    browser.until("document.querySelector('.phase.run.failed')");
    browser.until("document.querySelector('table.bill .total')");
    browser.screenshot("failed-invocation");
}

fn guest_text_stays_text(browser: &Browser) {
    const MARKUP: &str = "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>";
    let source = format!(
        "export default {{ fetch() {{
           console.log({0});
           console.error('\\u202e\\u001b[31mturned');
           return new Response({0}, {{ headers: {{ 'x-evil': {0}, 'content-type': 'text/html' }} }});
         }} }};",
        Value::from(MARKUP)
    );
    let emu = Project::new(&[("functions/evil.js", &source)]).start();
    let path = "/evil/<script>window.pwned=1</script>"
        .replace('<', "%3C")
        .replace('>', "%3E");
    assert_eq!(emu.get(&path).status, 200);
    let raw = "GET /evil/\"><img/src=x/onerror=window.pwned=1> HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    crate::harness::raw(&Emu::address(&emu.functions_url()), raw);
    emu.wait("invocation", |_| true);
    let clean = |browser: &Browser, place: &str| {
        assert_eq!(browser.value("window.pwned ?? null"), Value::Null, "{place}");
        assert_eq!(
            browser.value("document.querySelectorAll('main script, main img, main iframe').length"),
            0,
            "{place}"
        );
    };
    for place in [
        "#/timeline",
        "#/functions",
        "#/invocations",
        "#/functions/%3Cimg%20src=x%20onerror=window.pwned=1%3E",
    ] {
        open(browser, &emu, place);
        browser.until("document.querySelector('main').children.length > 0");
        clean(browser, place);
    }
    open(browser, &emu, "#/functions/evil");
    browser.fill("#path", &path);
    browser.click("#send");
    browser.until("document.querySelector('#answer .body').textContent.includes('<script>window.pwned=1</script>')");
    browser
        .until("[...document.querySelectorAll('#answer pre')].some((e) => e.textContent.includes('x-evil: <script>'))");
    clean(browser, "the answer");
    browser.click("#answer a");
    browser.until("document.querySelector('.log').textContent.includes('<img src=x')");
    // What would turn text around or colour a terminal is seen as what it is.
    browser.until("document.querySelector('.log').textContent.includes('\\\\u202e\\\\u001b[31mturned')");
    clean(browser, "an invocation");
    browser.screenshot("hostile");
}

fn messages_are_sent_and_purged(browser: &Browser) {
    let emu = Project::new(&[
        ("functions/eats.js", "export default { queue(batch) { for (const m of batch.messages) console.log(m.body); } };"),
        (
            "emu.toml",
            "[functions.eats]\nqueue = \"food\"\n[queues.food]\n[queues.shelf]\n[topics.news]\nqueues = [\"shelf\"]\n[kv.notes]\n",
        ),
    ])
    .start();
    open(browser, &emu, "#/queues/queue/food");
    browser.fill("#message", "{\"dish\": \"soup\"}");
    browser.click("#send-message");
    let eaten = emu.wait("invocation", |one| one["function"] == "eats");
    assert_eq!(eaten["outcome"], "succeeded");
    open(browser, &emu, "#/queues");
    browser.click("[data-topic=news] summary");
    browser.fill("[data-topic=news] textarea", "hello");
    browser.click("[data-topic=news] button");
    browser.until("document.querySelector('[data-queue=shelf] [data-figure=visible] .value').textContent === '1'");
    browser.click("[data-queue=shelf] a");
    browser.until("document.querySelectorAll('tr[data-message]').length === 1");
    browser.until_text("hello");
    browser.screenshot("peek");
    browser.click("#purge");
    browser.accept();
    browser.until("document.querySelectorAll('tr[data-message]').length === 0");
    assert_eq!(emu.control("/_emu/queues/shelf")["visible"], 0);
    emu.control_post("/_emu/kv/notes/put", &json!({ "key": "first", "value": "written" }));
    open(browser, &emu, "#/queues/kv/notes");
    browser.click("[data-key=first] button");
    browser.until("document.querySelector('#kv-value').value === 'written'");
    browser.fill("#kv-value", "changed");
    browser.click("section button.main");
    emu_has(&emu, "/_emu/kv/notes/value?key=first", "value", &json!("changed"));
}

/// Asks until the control API says this: the page's own request is on its way.
fn emu_has(emu: &Emu, path: &str, key: &str, expect: &Value) {
    for _ in 0..20_000 {
        if emu.control(path)[key] == *expect {
            return;
        }
    }
    panic!("{path} never has {key} = {expect}: {}", emu.control(path));
}

fn crons_fire(browser: &Browser) {
    let emu = Project::new(&[
        (
            "functions/nightly.js",
            "export default { scheduled() { console.log('swept'); } };",
        ),
        ("emu.toml", "[functions.nightly]\ncron = \"0 3 1 1 *\"\n"),
    ])
    .start();
    open(browser, &emu, "#/queues");
    browser.until("document.querySelector('[data-cron=nightly]').cells[2].textContent.includes('01-01')");
    browser.click("[data-fire=nightly]");
    browser.until("location.hash.startsWith('#/invocations/')");
    browser.until_text("swept");
    assert_eq!(emu.wait("invocation", |_| true)["trigger"], "cron");
}

fn requests_are_sent_and_kept(browser: &Browser) {
    let emu = Project::new(&[(
        "functions/echo.js",
        "export default { async fetch(request) {
           return Response.json({ method: request.method, header: request.headers.get('x-mine'), body: await request.text() });
         } };",
    )])
    .start();
    open(browser, &emu, "#/functions/echo");
    browser.set("#method", "PUT");
    browser.fill("#path", "/echo/a?b=c");
    browser.fill("#headers", "x-mine: it's");
    browser.fill("#body", "hello");
    browser.click("#send");
    browser.until("document.querySelector('#status').textContent === '200'");
    let shown = browser.value("JSON.parse(document.querySelector('#answer .body').textContent)");
    assert_eq!(shown, json!({ "method": "PUT", "header": "it's", "body": "hello" }));
    let curl = browser.value(
        "(async () => (await import('/dashboard/request.js')).curl({ kind: 'http', method: 'PUT', path: '/echo/a?b=c', headers: \"x-mine: it's\", body: 'hello' }))()",
    );
    let expect = format!(
        "curl -i -X PUT -H 'x-mine: it'\\''s' --data-raw 'hello' '{}/echo/a?b=c'",
        emu.functions_url()
    );
    assert_eq!(curl, expect);
    // The invocation's page sends it again, with all that it was sent with.
    browser.click("#answer a");
    browser.until("document.querySelector('#again #headers').value === \"x-mine: it's\"");
    browser.click("#again #send");
    browser.until("document.querySelector('#again #status').textContent === '200'");
    assert_eq!(emu.events("invocation", |one| one["summary"] == "PUT /echo/a").len(), 2);
    // It is in the list after a reload of the page, too.
    open(browser, &emu, "#/functions/echo");
    browser
        .until("[...document.querySelector('#earlier').options].some((one) => one.textContent === 'PUT /echo/a?b=c')");
    browser.set("#earlier", "0");
    browser.until("document.querySelector('#body').value === 'hello'");
}

fn requests_and_answers_are_shown(browser: &Browser) {
    let source = "export default {
        async fetch(request) {
            return Response.json({ got: await request.text(), mine: request.headers.get('x-mine'), version: 1 });
        },
        queue(batch) {},
    };";
    let manifest = "[functions.echo]\nhttp = \"/echo\"\nqueue = \"jobs\"\n[queues.jobs]\n";
    let emu = Project::new(&[("functions/echo.js", source), ("emu.toml", manifest)]).start();
    // From elsewhere, not from the page.
    let answer = emu.request(Method::POST, "/echo?a=b", &[("x-mine", "1")], "<b>hello</b>");
    let id = answer.header("x-emu-invocation").to_owned();
    open(browser, &emu, &format!("#/invocations/{id}"));
    browser.until("document.querySelector('#given b').textContent === 'POST /echo?a=b'");
    browser.until("document.querySelector('#given > pre').textContent === '<b>hello</b>'");
    browser.until("document.querySelector('#given details pre').textContent.includes('x-mine: 1')");
    browser.until("JSON.parse(document.querySelector('#answered > pre').textContent).mine === '1'");
    browser.screenshot("exchange");
    // Again, with all that it was sent with.
    browser.until("document.querySelector('#again #body').value === '<b>hello</b>'");
    browser.until("document.querySelector('#again #headers').value.includes('x-mine: 1')");
    browser.click("#again #send");
    browser.until("document.querySelector('#again #status').textContent === '200'");
    let shown = browser.value("JSON.parse(document.querySelector('#answer .body').textContent)");
    assert_eq!(shown, json!({ "got": "<b>hello</b>", "mine": "1", "version": 1 }));
    browser.click("#replay");
    browser.until("document.querySelector('#same.good')");
    emu.project.edit("functions/echo.js", "version: 1", "version: 2");
    emu.wait("reload", |one| one["outcome"] == "changed");
    browser.click("#replay");
    browser.until("document.querySelector('#same.bad')");

    // A message as its function got it, in Portuguese.
    emu.control_post(
        "/_emu/queues/jobs/messages",
        &json!({ "body": { "n": 7 }, "attributes": { "kind": "new" } }),
    );
    let taken = emu.wait("invocation", |one| one["trigger"] == "queue");
    let place = format!("?lang=pt#/invocations/{}", taken["id"].as_str().expect("an id"));
    open(browser, &emu, &place);
    browser.until("document.querySelector('#given h2').textContent === 'O que recebeu'");
    browser.until("document.querySelector('#given .messages pre').textContent.includes('\"n\": 7')");

    // What is shown, as a test file.
    open(browser, &emu, "#/invocations");
    browser.until("document.querySelectorAll('tr[data-id]').length >= 2");
    browser.click("#as-test");
    browser.until("document.querySelector('#testfile').textContent.includes('request = \"POST /echo?a=b\"')");
    // The message as well, by the invocation that it was handed to.
    browser.until("document.querySelector('#testfile').textContent.includes('send = \"jobs\"')");
    browser.until("document.querySelector('#recording a').download === 'recorded.emu.toml'");
    browser.screenshot("testfile");
}

/// With `--host` only the functions' port opens.
#[cfg(target_os = "linux")]
fn the_address_for_phones_is_shown(browser: &Browser) {
    let emu = Project::new(&[(
        "functions/hello.js",
        "export default { fetch: () => new Response('hi') };",
    )])
    .start_with(&["--host", "0.0.0.0"]);
    // Another address of this machine, which only what listens on all of them answers.
    let elsewhere = |url: &str| url.replace("127.0.0.1", "127.0.0.2");
    let ask = |url: String| crate::harness::try_request(Method::GET, &url, &[], String::new());
    let answer = ask(format!("{}/hello", elsewhere(&emu.functions_url())));
    assert_eq!(answer.map(|answer| answer.text()), Ok("hi".to_owned()));
    let control = ask(format!("{}/_emu/health", elsewhere(&emu.control_url())));
    assert!(control.is_err(), "the control port is for this machine alone");
    let health = emu.control("/_emu/health");
    open(browser, &emu, "#/demo");
    match health["network_url"].as_str() {
        // Of a network that this machine is in.
        Some(url) => {
            assert!(
                url.ends_with(emu.functions_url().rsplit(':').next().expect("a port")),
                "{url}"
            );
            browser.until(&format!(
                "document.querySelector('.phones .address').textContent === '{url}'"
            ));
        }
        None => drop(browser.until("document.querySelector('#phones')")),
    }
    // Without it the page says how.
    let closed = Project::new(&[(
        "functions/hello.js",
        "export default { fetch: () => new Response('hi') };",
    )])
    .start();
    assert!(
        ask(format!("{}/hello", elsewhere(&closed.functions_url()))).is_err(),
        "this machine alone"
    );
    open(browser, &closed, "#/demo");
    browser.until("document.querySelector('#phones').textContent.includes('--host')");
}

#[cfg(not(target_os = "linux"))]
fn the_address_for_phones_is_shown(_: &Browser) {}

fn sliders_change_the_emulator(browser: &Browser) {
    let emu = slow();
    let settings = || emu.control("/_emu/settings");
    assert_eq!(settings()["changed"], false);
    open(browser, &emu, "#/demo");
    browser.until("document.querySelector('output[for=keep-alive]').textContent === '2 min'");
    browser.set("#keep-alive", "10");
    browser.until("document.querySelector('output[for=keep-alive]').textContent === '1 h'");
    browser.until("!document.querySelector('#reset').disabled");
    assert_eq!(settings()["functions"][0]["keep_alive_ms"], 3_600_000.0);
    browser.set("#limit", "0");
    browser.until("document.querySelector('output[for=limit]').textContent === '1'");
    emu_has(&emu, "/_emu/functions/slow", "max_concurrency", &json!(1));
    // Four requests at once, one instance: three of them are throttled.
    browser.set("#rate-of-load", "6");
    browser.click("[data-pattern=burst]");
    browser.until("Number(document.querySelector('[data-figure=throttled] .value').textContent) > 0");
    browser.click("#stop");
    browser.until("document.querySelector('#stop').disabled");
    browser.until("document.querySelector('.lane').dataset.instances === '1'");
    browser.screenshot("demo-load");
    browser.set("#clock-factor", "3");
    emu_has(&emu, "/_emu/health", "clock", &json!("x10"));
    browser.until("document.querySelector('#clock').textContent.endsWith('×10')");
    browser.set("#cold-starts", "off");
    emu_has(&emu, "/_emu/health", "cold_starts", &json!("off"));
    browser.click("#reset");
    emu_has(&emu, "/_emu/settings", "changed", &json!(false));
    let now = settings();
    assert_eq!(
        (&now["clock"], &now["cold_starts"]),
        (&json!("x60"), &json!("sleep")),
        "{now}"
    );
    assert_eq!(now["functions"][0]["keep_alive_ms"], 120_000.0);
    browser.until("document.querySelector('output[for=keep-alive]').textContent === '2 min'");
}

fn a_flood_is_sampled_and_told(browser: &Browser) {
    let noisy = "export default { fetch() { for (let n = 0; n < 3000; n++) console.log('line ' + n); return new Response('ok'); } };";
    let emu = Project::new(&[("functions/noisy.js", noisy)]).start();
    open(browser, &emu, "#/timeline");
    // Whether the answer is there before the notice goes does not matter: the page looks all the time.
    browser.value(
        "(window.told = false, new MutationObserver(() => {
        window.told ||= document.querySelector('#banner').innerText.includes('counted only');
      }).observe(document.querySelector('#banner'), { childList: true, subtree: true, characterData: true }), null)",
    );
    emu.get("/noisy");
    browser.until("window.told");
    // The figures are those of all that happened.
    browser.until("document.querySelector('.lane').dataset.cold === '1'");
    browser.until("!document.querySelector('#banner').innerText.trim()");
}

fn a_manual_clock_is_moved_by_hand(browser: &Browser) {
    let emu = Project::new(&[
        (
            "functions/hello.js",
            "export default { fetch: () => new Response('hello') };",
        ),
        ("emu.toml", "[functions.hello]\nhttp = \"GET /\"\nkeep_alive = \"5m\"\n"),
    ])
    .start_with(&["--clock", "manual"]);
    emu.get("/");
    open(browser, &emu, "#/timeline");
    browser.until("document.querySelector('.lane').dataset.instances === '1'");
    browser.click("[data-advance*='\"1m\"']");
    browser.until("document.querySelector('.range')");
    browser.click("[data-advance*='\"10m\"']");
    browser.until("document.querySelector('.lane').dataset.instances === '0'");
    let gone = emu.wait("instance", |one| one["state"] == "gone");
    assert_eq!(gone["reason"], "idle for 5m");
}

fn a_restart_is_survived(browser: &Browser) {
    let emu = Project::new(&[(
        "functions/hello.js",
        "export default { fetch: () => new Response('hello') };",
    )])
    .start();
    emu.get("/hello");
    let control = Emu::address(&emu.control_url());
    let port = control.rsplit(':').next().expect("a port").to_owned();
    open(browser, &emu, "#/timeline");
    browser.until("document.querySelector('.lane').dataset.instances === '1'");
    let project = emu.kill();
    browser.until("document.querySelector('#connection').dataset.state === 'lost'");
    browser.until_text("does not answer");
    project.write(
        "functions/second.js",
        "export default { fetch: () => new Response('second') };",
    );
    let emu = project.start_with(&["--control-port", &port]);
    browser.until("document.querySelector('#connection').dataset.state === 'live'");
    // What was is gone with the process it was in; what came is there.
    browser.until("document.querySelector('.lane[data-function=hello]').dataset.instances === '0'");
    browser.until("document.querySelector('.lane[data-function=second]')");
    emu.get("/second");
    browser.until("document.querySelector('.lane[data-function=second]').dataset.instances === '1'");
    browser.until("!document.querySelector('#banner').innerText.trim()");
}

fn the_tour_leads_through(browser: &Browser) {
    let emu = Project::example("scale-to-zero").start_with(&["--clock", "real"]);
    open(browser, &emu, "?lang=pt#/demo");
    browser.click("#start-tour");
    let told = |step: &str| {
        browser.until(&format!("document.querySelector('.tour').dataset.told === '{step}'"));
        browser.until("document.querySelector('.tour .result').textContent.length > 10");
    };
    let step = |name: &str| browser.until(&format!("document.querySelector('.tour').dataset.step === '{name}'"));
    browser.click("#tour-act");
    step("first");
    browser.click("#tour-act");
    told("first");
    browser.click("#tour-next");
    step("warm");
    browser.click("#tour-act");
    told("warm");
    browser.click("#tour-next");
    browser.click("#tour-act");
    told("burst");
    browser.screenshot("tour-burst");
    browser.click("#tour-next");
    told("idle");
    browser.click("#tour-next");
    told("gone");
    browser.until_text("Escala a zero: nenhuma instância, nenhum custo.");
    browser.screenshot("tour-gone");
    browser.click("#tour-next");
    step("again");
    browser.click("#tour-act");
    told("again");
    browser.click("#tour-next");
    told("bill");
    browser.click("#tour-next");
    browser.until("location.hash === '#/bill'");
    browser.until("!document.querySelector('.tour')");
}

fn a_group_is_shown_whole(browser: &Browser) {
    let nats = Nats::start();
    let start = || {
        Project::new(&[
            (
                "functions/worker.js",
                "export default {
                   fetch() { return new Response('x'); },
                   async queue() { await new Promise((done) => setTimeout(done, 600_000)); },
                 };",
            ),
            (
                "emu.toml",
                "[project]\nname = \"shop\"\n[functions.worker]\nsource = \"functions/worker.js\"\nhttp = \"/\"\ntimeout = \"11m\"\n\
                 queue = \"jobs\"\n[queues.jobs]\nvisibility_timeout = \"15m\"\n",
            ),
        ])
        .start_with(&["--no-watch", "--bus", &nats.url()])
    };
    let (first, second, dies) = (start(), start(), start());
    let name = |emu: &Emu| {
        emu.control("/_emu/members")[0]["name"]
            .as_str()
            .expect("a name")
            .to_owned()
    };
    let row = |emu: &Emu| format!("document.querySelector('tr[data-member=\"{}\"]')", name(emu));
    let (second_row, dead_row) = (row(&second), row(&dies));
    open(browser, &first, "#/group");
    browser.until("document.querySelectorAll('tr[data-member]').length === 3");
    // It is asked about once a second, and dead for the others after ten.
    let _gone = dies.kill();
    browser.until("document.querySelector('#nav [data-view=group]').textContent === 'Group · 3'");
    let link = format!("[...{second_row}.querySelectorAll('a')].map((a) => a.href).join()");
    let expected = format!("{}/,{}/", second.functions_url(), second.control_url());
    assert_eq!(browser.value(&link), expected);
    for _ in 0..3 {
        assert_eq!(second.get("/").text(), "x");
    }
    browser.until(&format!("{second_row}.children[5].textContent === '3'"));
    browser.until("document.querySelector('[data-figure=bill] .value').textContent.startsWith('$0.0000')");
    let sent = first.control_post("/_emu/queues/jobs/messages", &json!({ "body": 1 }));
    assert!(sent.status.is_success(), "{}", sent.text());
    browser.until("document.querySelector('[data-figure=running] .value').textContent === '1'");
    browser.until("document.querySelector('tr[data-state=busy]').textContent.includes('worker × 1')");
    // What lies in the queue is the group's, whichever of them has it.
    let go = |view: &str| browser.value(&format!("(location.hash = '#/{view}') && null"));
    go("queues");
    browser.until("document.querySelector('[data-queue=jobs] [data-figure=in_flight] .value').textContent === '1'");
    // This one ran nothing of its own that cost, and shows what the group came to.
    go("bill");
    browser.until("document.querySelector('[data-figure=group] .value').textContent.startsWith('$0.0000')");
    browser.screenshot("group-bill");
    go("group");
    browser.until(&format!(
        "{dead_row}.dataset.state === 'gone' && {dead_row}.textContent.includes('fell silent')"
    ));
    for (look, width, height, dark) in [
        ("light", 1_440, 900, false),
        ("dark", 1_440, 900, true),
        ("phone", 390, 844, false),
    ] {
        browser.screen(width, height, dark);
        browser.until("document.documentElement.scrollWidth <= innerWidth + 1");
        browser.screenshot(&format!("group-{look}"));
    }
    second.interrupt();
    second.end();
    browser.until(&format!(
        "{second_row}.dataset.state === 'gone' && {second_row}.textContent.includes('left at')"
    ));
}

#[test]
fn the_page_is_served_with_its_policy_and_nothing_else_is() {
    let emu = slow();
    let get = |path: &str| request(Method::GET, &format!("{}{path}", emu.control_url()), &[], String::new());
    let page = get("/");
    assert!(page.text().contains("/dashboard/app.js"), "{}", page.text());
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("script-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let style = get("/dashboard/style.css");
    assert_eq!(
        (style.status.as_u16(), style.header("content-type")),
        (200, "text/css; charset=utf-8")
    );
    let again = request(
        Method::GET,
        &format!("{}/dashboard/style.css", emu.control_url()),
        &[("if-none-match", style.header("etag"))],
        String::new(),
    );
    assert_eq!(again.status, 304);
    for path in [
        "/dashboard/",
        "/dashboard/..%2f..%2fCargo.toml",
        "/dashboard/emu.toml",
        "/emu.toml",
        "/dashboard/a/b",
    ] {
        assert_eq!(get(path).status, 404, "{path}");
    }
}

#[test]
fn settings_load_and_requests_by_the_api() {
    let emu = slow();
    let post = |path: &str, body: Value| emu.control_post(path, &body);
    for (path, body, code) in [
        ("/_emu/settings", json!({ "clock": "60" }), "bad-clock"),
        ("/_emu/settings", json!({ "colds": 1 }), "bad-request"),
        (
            "/_emu/settings",
            json!({ "functions": { "slwo": {} } }),
            "function-not-found",
        ),
        ("/_emu/load", json!({}), "no-target"),
        ("/_emu/load", json!({ "function": "slow", "rate": -1 }), "out-of-range"),
        (
            "/_emu/load",
            json!({ "function": "slow", "duration": "1y" }),
            "bad-duration",
        ),
        ("/_emu/request", json!({ "path": "orders" }), "bad-path"),
        ("/_emu/request", json!({ "path": "/", "method": "G E T" }), "bad-method"),
        (
            "/_emu/request",
            json!({ "path": "/", "headers": [["a b", "c"]] }),
            "bad-header",
        ),
    ] {
        let answer = post(path, body.clone());
        assert!(answer.status.is_client_error(), "{path} {body}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], code, "{path} {body}: {}", answer.text());
    }
    let sent = post("/_emu/request", json!({ "path": "/" })).json();
    assert_eq!(
        (&sent["status"], &sent["body"], &sent["start"]),
        (&json!(200), &json!("done"), &json!("cold"))
    );
    // An instance that idles goes when it is told to be kept for less.
    emu.wait("invocation", |_| true);
    let changed = post(
        "/_emu/settings",
        json!({ "functions": { "slow": { "keep_alive": "1ms" } } }),
    )
    .json();
    assert_eq!(changed["changed"], true, "{changed}");
    emu.wait("instance", |one| one["state"] == "gone");
    // Provisioned instances come as soon as they are asked for.
    post(
        "/_emu/settings",
        json!({ "reset": true, "functions": { "slow": { "min_instances": 2 } } }),
    );
    emu.wait("instance", |one| one["state"] == "idle" && one["id"] == 3);
    // A change of the manifest leaves what was set where it is.
    let mark = emu.mark();
    emu.project.edit("emu.toml", "\"2m\"", "\"4m\"");
    emu.wait_from(mark, "notice", |one| {
        one["message"].as_str().is_some_and(|text| text.contains("emu.toml"))
    });
    let now = emu.control("/_emu/settings");
    assert_eq!(
        (
            &now["functions"][0]["keep_alive_ms"],
            &now["functions"][0]["min_instances"]
        ),
        (&json!(240_000.0), &json!(2)),
        "{now}"
    );
    let started = post(
        "/_emu/load",
        json!({ "function": "slow", "rate": 20, "duration": "24h", "pattern": "steady" }),
    );
    assert_eq!(started.json()["running"], true, "{}", started.text());
    assert_eq!(post("/_emu/load", json!({ "function": "slow" })).status, 409);
    let mark = emu.mark();
    emu.wait_from(mark, "invocation", |_| true);
    let stopped = post("/_emu/load", json!({ "stop": true })).json();
    assert!(
        stopped["running"] == false && stopped["sent"].as_u64() > Some(0),
        "{stopped}"
    );
}
