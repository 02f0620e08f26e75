//! A function as a `wasi:http` component: it greets whoever the query names, and gives a POST its own body back.

use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

wasip2::http::proxy::export!(Hello);

struct Hello;

impl wasip2::exports::http::incoming_handler::Guest for Hello {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let headers = Fields::new();
        let _ = headers.set("content-type", &[b"text/plain; charset=utf-8".to_vec()]);
        let response = OutgoingResponse::new(headers);
        let Ok(body) = response.body() else { return };
        // The head goes out now; the body follows while it is written.
        ResponseOutparam::set(out, Ok(response));
        match request.method() {
            Method::Post => echo(&request, &body),
            _ => write(
                &body,
                greeting(&request.path_with_query().unwrap_or_default()).as_bytes(),
            ),
        }
        let _ = OutgoingBody::finish(body, None);
    }
}

fn greeting(path: &str) -> String {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let name = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("name="))
        .unwrap_or("world");
    format!("Hello, {name}!\n")
}

fn write(body: &OutgoingBody, bytes: &[u8]) {
    let Ok(stream) = body.write() else { return };
    for chunk in bytes.chunks(4096) {
        if stream.blocking_write_and_flush(chunk).is_err() {
            return;
        }
    }
}

fn echo(request: &IncomingRequest, body: &OutgoingBody) {
    let Ok(incoming) = request.consume() else { return };
    let (Ok(from), Ok(to)) = (incoming.stream(), body.write()) else {
        return;
    };
    while to.blocking_splice(&from, 64 * 1024).is_ok() {}
    drop((from, to));
    drop(IncomingBody::finish(incoming));
}
