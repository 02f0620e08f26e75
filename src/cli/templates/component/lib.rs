//! Answers HTTP requests through `wasi:http/incoming-handler`. Every request gets an instance of its own.

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

struct Hello;

wasip2::http::proxy::export!(Hello);

impl Guest for Hello {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let name = path.trim_start_matches('/').split('?').next().filter(|name| !name.is_empty()).unwrap_or("world");
        let greeting = std::env::var("GREETING").unwrap_or_else(|_| "Hello".to_owned());
        println!("greeting {name}");
        respond(out, 200, &format!("{greeting}, {name}!\n"));
    }
}

fn respond(out: ResponseOutparam, status: u16, text: &str) {
    let headers = Fields::new();
    headers.set("content-type", &[b"text/plain; charset=utf-8".to_vec()]).expect("a header that may be set");
    let response = OutgoingResponse::new(headers);
    response.set_status_code(status).expect("a status that is one");
    let body = response.body().expect("a response has one body");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("a body has one stream");
    // A stream takes up to 4096 bytes at once.
    for part in text.as_bytes().chunks(4096) {
        if stream.blocking_write_and_flush(part).is_err() {
            return; // the client has gone
        }
    }
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}
