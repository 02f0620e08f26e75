//! Functions between a client and somebody else: what they pass on arrives whole, and says what it is.

use std::io::Write;

use http::Method;
use serde_json::{Value, json};
use warp::Filter;

use crate::harness::{Emu, Project, raw, serve};

const MANIFEST: &str = r#"
[functions.proxy]
source = "functions/proxy.js"
http = "/proxy/*"
allow_hosts = ["127.0.0.1:PORT"]
bind = { OTHER = "function:other" }
env = { UPSTREAM = "http://127.0.0.1:PORT" }

[functions.other]
source = "functions/other.js"
http = "/other/*"

[functions.split]
source = "functions/split.mjs"
"#;

const PROXY: &str = "export default { async fetch(request, env) {
    const { pathname } = new URL(request.url);
    const kind = pathname.slice('/proxy/'.length);
    const to = (path) => new Request(env.UPSTREAM + path, { method: request.method, headers: request.headers,
        body: request.method === 'POST' ? 'another body' : undefined });
    if (kind === 'outside') return fetch(to('/echo'));
    if (kind === 'bound') return env.OTHER.fetch(to('/other/echo'));
    if (kind === 'streamed') {
        const { readable, writable } = new TransformStream();
        const writer = writable.getWriter();
        writer.write(new TextEncoder().encode('streamed body')).then(() => writer.close());
        return env.OTHER.fetch('http://other/other/echo', { method: 'POST', headers: request.headers, body: readable });
    }
    if (kind === 'login') return env.OTHER.fetch(new Request('http://other/other/login', request));
    if (kind === 'longer') {
        const answer = await fetch(env.UPSTREAM + '/short');
        const more = new TransformStream({ flush(to) { to.enqueue(new TextEncoder().encode(' and more')); } });
        return new Response(answer.body.pipeThrough(more), answer);
    }
    if (kind === 'whole') return fetch(env.UPSTREAM + '/short');
    const packed = (init) => fetch(env.UPSTREAM + '/packed', { headers: { 'accept-encoding': 'br, gzip;q=0.5, zstd' }, ...init });
    if (kind === 'packed') return packed();
    if (kind === 'odd') {
        const answer = await fetch(env.UPSTREAM + '/odd');
        return Response.json([answer.headers.get('content-encoding'), await answer.text()]);
    }
    if (kind === 'changed') {
        const answer = await packed();
        const { headers } = answer;
        return new Response((await answer.text()).toUpperCase(), { headers });
    }
    if (kind === 'copied') {
        const answer = await packed();
        return new Response(answer.body, answer);
    }
    if (kind === 'cloned') {
        const answer = await packed({ signal: new AbortController().signal });
        const copy = answer.clone();
        return Response.json([await answer.text(), await copy.text()]);
    }
    return new Response(request.url);
} };";

const OTHER: &str = "export default { async fetch(request) {
    if (new URL(request.url).pathname === '/other/login') {
        return new Response(null, { status: 302, headers: { location: '/other/home', 'set-cookie': 'session=1' } });
    }
    return Response.json({ length: request.headers.get('content-length'), body: await request.text() });
} };";

/// An answer within its answer, behind a length that ends before it.
const SPLIT: &str = "export const handler = async () => ({ statusCode: 200, headers: { 'content-length': '5' },
    body: 'helloHTTP/1.1 200 OK\\r\\ncontent-length: 4\\r\\n\\r\\nevil' });";

fn packed_text() -> Vec<u8> {
    let mut packing = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packing.write_all(b"packed text").expect("memory");
    packing.finish().expect("memory")
}

/// With somebody outside who answers.
fn start() -> (Emu, tokio::runtime::Runtime) {
    let echo = warp::path("echo")
        .and(warp::header::optional::<String>("content-length"))
        .and(warp::body::bytes())
        .map(|length: Option<String>, body: bytes::Bytes| {
            let body = String::from_utf8_lossy(&body).into_owned();
            warp::reply::json(&json!({ "length": length, "body": body }))
        });
    let short = warp::path("short").map(|| "short");
    let packed = warp::path("packed")
        .and(warp::header::<String>("accept-encoding"))
        .map(|codings: String| {
            assert_eq!(codings, "gzip;q=0.5");
            let response = http::Response::builder().header("content-encoding", "gzip");
            response.body(packed_text()).expect("a response")
        });
    // What every object of JavaScript has by that name is no coding.
    let odd = warp::path("odd").map(|| {
        let response = http::Response::builder().header("content-encoding", "constructor");
        response.body("as it is").expect("a response")
    });
    let (address, runtime) = serve(echo.or(short).or(packed).or(odd).boxed());
    let emu = Project::new(&[
        ("emu.toml", &MANIFEST.replace("PORT", &address.port().to_string())),
        ("functions/proxy.js", PROXY),
        ("functions/other.js", OTHER),
        ("functions/split.mjs", SPLIT),
    ])
    .start();
    (emu, runtime)
}

#[test]
fn copied_headers_do_not_bring_the_length_of_another_body() {
    let (emu, _outside) = start();
    for kind in ["outside", "bound"] {
        let answer = emu.request(Method::POST, &format!("/proxy/{kind}"), &[], "abc");
        let expected = json!({ "length": "12", "body": "another body" });
        assert_eq!(answer.json(), expected, "{kind}: {}", answer.text());
        // A length without a body to a function, and what the function makes of it.
        let answer = emu.request(Method::GET, &format!("/proxy/{kind}"), &[], "unwanted");
        let expected = json!({ "length": null, "body": "" });
        assert_eq!(answer.json(), expected, "{kind}: {}", answer.text());
    }
    let answer = emu.request(Method::POST, "/proxy/streamed", &[], "abc");
    assert_eq!(answer.json(), json!({ "length": null, "body": "streamed body" }));
}

#[test]
fn an_answer_has_the_length_of_its_own_body() {
    let (emu, _outside) = start();
    let answer = emu.get("/proxy/longer");
    assert_eq!(answer.text(), "short and more");
    let whole = emu.get("/proxy/whole");
    assert_eq!((whole.text().as_str(), whole.header("content-length")), ("short", "5"));
    let split = emu.get("/split");
    assert_eq!(split.header("content-length"), split.text().len().to_string());
    assert!(split.text().ends_with("evil"), "{}", split.text());
}

#[test]
fn a_redirect_of_another_function_is_the_clients() {
    let (emu, _outside) = start();
    let answer = emu.get("/proxy/login");
    assert_eq!(answer.status, 302, "{}", answer.text());
    assert_eq!(
        (answer.header("location"), answer.header("set-cookie")),
        ("/other/home", "session=1")
    );
}

#[test]
fn a_client_does_not_choose_the_path_by_the_host() {
    let (emu, _outside) = start();
    let address = Emu::address(&emu.functions_url());
    let asked = |hosts: &str| {
        raw(
            &address,
            &format!("GET /proxy/url HTTP/1.1\r\n{hosts}connection: close\r\n\r\n"),
        )
    };
    for hosts in [
        "host: x/admin?\r\n",
        "host: user@x\r\n",
        "host: x#\r\n",
        "host: a\r\nhost: b\r\n",
    ] {
        let answer = asked(hosts);
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.contains("\"bad-host\""),
            "{hosts}: {answer}"
        );
    }
    assert!(asked("host: shop.example\r\n").ends_with("http://shop.example/proxy/url"));
    assert!(asked("host:\r\n").ends_with("http://localhost/proxy/url"));
}

#[test]
fn a_body_that_is_too_long_is_not_asked_for() {
    let (emu, _outside) = start();
    let address = Emu::address(&emu.functions_url());
    let answer = raw(
        &address,
        "POST /proxy/url HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1000000000000\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(
        answer.to_ascii_lowercase().contains("\r\nconnection: close\r\n"),
        "{answer}"
    );
    let told: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap_or_default()).expect("JSON");
    assert_eq!(told["error"]["code"], "body-too-large");
}

#[test]
fn a_packed_answer_is_read_unpacked_and_handed_on_packed() {
    let (emu, _outside) = start();
    let packed = emu.get("/proxy/packed");
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert_eq!(packed.header("content-length"), packed_text().len().to_string());
    assert_eq!(packed.body, packed_text());
    for (kind, text) in [
        ("changed", "PACKED TEXT"),
        ("copied", "packed text"),
        ("cloned", r#"["packed text","packed text"]"#),
    ] {
        let answer = emu.get(&format!("/proxy/{kind}"));
        assert_eq!(answer.text(), text, "{kind}");
        assert_eq!(answer.header("content-encoding"), "", "{kind}");
    }
    let odd = emu.get("/proxy/odd");
    assert_eq!(odd.json(), json!(["constructor", "as it is"]), "{}", odd.text());
}
