//! The control API: what it tells, and whom it refuses.

use serde_json::json;

use crate::harness::{Emu, Project, raw};

fn hello() -> Emu {
    Project::new(&[(
        "functions/hello.js",
        "export default { fetch: () => new Response('hello') };",
    )])
    .start()
}

/// Status line of a raw request to the control port.
fn status(emu: &Emu, request: &str) -> String {
    let address = Emu::address(&emu.control_url());
    let port = address.rsplit(':').next().unwrap_or_default();
    let request = request.replace("{PORT}", port).replace('\n', "\r\n") + "Connection: close\r\n\r\n";
    raw(&address, &request).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn it_tells_what_runs() {
    let emu = hello();
    assert_eq!(emu.get("/hello").text(), "hello");
    let health = emu.control("/_emu/health");
    assert_eq!(
        (&health["status"], &health["functions_url"]),
        (&json!("ok"), &json!(emu.functions_url())),
        "{health}"
    );
    emu.control("/_emu/ready");
    emu.wait("invocation", |_| true);
    let functions = emu.control("/_emu/functions");
    assert_eq!(
        (&functions[0]["name"], &functions[0]["invocations"]),
        (&json!("hello"), &json!(1)),
        "{functions}"
    );
    let instances = emu.control("/_emu/instances");
    assert_eq!(
        (&instances[0]["function"], &instances[0]["state"]),
        (&json!("hello"), &json!("idle")),
        "{instances}"
    );
    let invocations = emu.control("/_emu/invocations?function=hello&limit=10");
    assert_eq!(invocations.as_array().map(Vec::len), Some(1), "{invocations}");
    let bill = emu.control("/_emu/bill");
    assert!(bill.to_string().contains("hello"), "{bill}");
}

#[test]
fn unknown_names_are_answered_with_the_nearest() {
    let emu = hello();
    let answer = emu.control_post("/_emu/functions/helo/invoke", &json!({}));
    assert_eq!(answer.status, 404);
    let error = &answer.json()["error"];
    assert!(error["code"].is_string() && error["message"].is_string(), "{error}");
    assert!(
        error["remedy"].as_str().is_some_and(|remedy| remedy.contains("hello")),
        "{error}"
    );
}

#[test]
fn a_function_is_invoked_by_name() {
    let emu = hello();
    let answer = emu.control_post("/_emu/functions/hello/invoke", &json!({}));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["invocation"]["outcome"], "succeeded", "{}", answer.text());
}

#[test]
fn foreign_hosts_are_refused() {
    let emu = hello();
    assert!(status(&emu, "GET /_emu/health HTTP/1.1\nHost: 127.0.0.1:{PORT}\n").contains(" 200 "));
    assert!(status(&emu, "GET /_emu/health HTTP/1.1\nHost: localhost:{PORT}\n").contains(" 200 "));
    for host in [
        "evil.example",
        "evil.example:{PORT}",
        "127.0.0.1.evil.example:{PORT}",
        "127.0.0.1:1",
        "localhost:{PORT}@evil.example",
    ] {
        let answer = status(&emu, &format!("GET /_emu/health HTTP/1.1\nHost: {host}\n"));
        assert!(answer.contains(" 400 ") || answer.contains(" 403 "), "{host}: {answer}");
    }
    let missing = status(&emu, "GET /_emu/health HTTP/1.1\n");
    assert!(missing.contains(" 400 "), "{missing}");
}

#[test]
fn cross_site_requests_are_refused() {
    let emu = hello();
    let host = "GET /_emu/health HTTP/1.1\nHost: 127.0.0.1:{PORT}\n";
    for header in [
        "Origin: http://evil.example",
        "Origin: null",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
    ] {
        let answer = status(&emu, &format!("{host}{header}\n"));
        assert!(answer.contains(" 403 "), "{header}: {answer}");
    }
    for header in [
        "Origin: http://127.0.0.1:{PORT}",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Site: none",
    ] {
        let answer = status(&emu, &format!("{host}{header}\n"));
        assert!(answer.contains(" 200 "), "{header}: {answer}");
    }
}

#[test]
fn changes_need_a_post_with_json() {
    let emu = hello();
    let post = "POST /_emu/functions/hello/invoke HTTP/1.1\nHost: 127.0.0.1:{PORT}\nContent-Length: 0\n";
    let form = status(&emu, &format!("{post}Content-Type: text/plain\n"));
    assert!(
        form.contains(" 415 "),
        "what a cross-site form can send is refused: {form}"
    );
    let get = status(
        &emu,
        "GET /_emu/functions/hello/invoke HTTP/1.1\nHost: 127.0.0.1:{PORT}\n",
    );
    assert!(get.contains(" 404 ") || get.contains(" 405 "), "{get}");
}

#[test]
fn pages_may_neither_frame_nor_read_it() {
    let emu = hello();
    let address = Emu::address(&emu.control_url());
    let answer = raw(
        &address,
        &format!("GET /_emu/health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"),
    )
    .to_ascii_lowercase();
    for header in [
        "x-content-type-options: nosniff",
        "frame-ancestors 'none'",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(answer.contains(header), "{header}: {answer}");
    }
    assert!(!answer.contains("access-control-allow-origin"), "{answer}");
}

#[test]
fn events_are_streamed() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let emu = hello();
    let address = Emu::address(&emu.control_url());
    let mut stream = std::net::TcpStream::connect(&address).expect("connect");
    write!(
        stream,
        "GET /_emu/events HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .expect("ask");
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    assert!(
        head.iter()
            .any(|line| line.to_ascii_lowercase().starts_with("content-type: text/event-stream")),
        "{head:?}"
    );
    assert_eq!(emu.get("/hello").status, 200);
    let event = lines.find(|line| line.starts_with("data:") && line.contains("\"event\":\"invocation\""));
    assert!(event.is_some_and(|line| line.contains("\"function\":\"hello\"")));
}
