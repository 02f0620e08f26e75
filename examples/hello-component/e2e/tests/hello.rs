//! The component over HTTP, at the address that `emu exec` gives.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// The whole answer to one request.
fn ask(head: &str, body: &str) -> String {
    let url = std::env::var("EMU_URL").expect("EMU_URL: run this by `emu exec -- cargo test`");
    let address = url.strip_prefix("http://").expect("an http URL");
    let mut stream = TcpStream::connect(address).expect("emu listens");
    let length = body.len();
    write!(stream, "{head} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
        .expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn it_greets_by_name() {
    let answer = ask("GET /?name=Ada", "");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("Hello, Ada!"), "{answer}");
}

#[test]
fn a_post_comes_back_as_it_went_in() {
    assert!(ask("POST /", "tea").contains("tea"));
}
