//! The front of a bundle: `wasi:http/handler` 0.3 around the runtime's `handle`. One invocation at a time: the runtime has one
//! function's globals, and one invocation's environment.

use futures::lock::Mutex;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};
use wasip3::{wit_future, wit_stream};

mod bindings {
    wit_bindgen::generate!({ path: "../wit", world: "front" });
}

use bindings::emu::shell::invocation;

wasip3::http::service::export!(Front);

static TURN: Mutex<()> = Mutex::new(());

struct Front;

impl wasip3::exports::http::handler::Guest for Front {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let turn = TURN.lock().await;
        let head = head(&request);
        let (end, ended) = wit_future::new(|| Ok(()));
        let has_body = !matches!(request.get_method(), Method::Get | Method::Head)
            || request.get_headers().has("content-length")
            || request.get_headers().has("transfer-encoding");
        let (body, trailers) = Request::consume_body(request, ended);
        let body = has_body.then_some(body);
        let (context, event) = invocation::begin(head, body).await;
        wit_bindgen::spawn_local(async move {
            let reply = bindings::handle(to_runtime(context), to_event(event)).await;
            invocation::end(to_host(reply)).await;
            drop(trailers);
            // Nobody waits for it any more when the connection is gone.
            let _ = end.write(Ok(())).await;
            drop(turn);
        });
        match invocation::answer().await {
            Ok(response) => respond(response),
            Err(message) => Err(ErrorCode::InternalError(Some(message))),
        }
    }
}

/// Method, address and then headers, one a line.
fn head(request: &Request) -> String {
    let method = match request.get_method() {
        Method::Get => "GET".to_owned(),
        Method::Head => "HEAD".to_owned(),
        Method::Post => "POST".to_owned(),
        Method::Put => "PUT".to_owned(),
        Method::Delete => "DELETE".to_owned(),
        Method::Connect => "CONNECT".to_owned(),
        Method::Options => "OPTIONS".to_owned(),
        Method::Trace => "TRACE".to_owned(),
        Method::Patch => "PATCH".to_owned(),
        Method::Other(name) => name,
    };
    let scheme = match request.get_scheme() {
        Some(Scheme::Https) => "https",
        _ => "http",
    };
    let headers = request.get_headers().copy_all();
    let host = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = host.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
    let host = host.or_else(|| request.get_authority()).unwrap_or_else(|| "localhost".to_owned());
    let path = request.get_path_with_query().unwrap_or_else(|| "/".to_owned());
    let mut head = format!("{method} {scheme}://{host}{path}");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("\nhost: {host}"));
    }
    for (name, value) in headers {
        head.push('\n');
        head.push_str(&name);
        head.push_str(": ");
        match std::str::from_utf8(&value) {
            Ok(text) => head.push_str(text),
            Err(_) => head.extend(value.iter().copied().map(char::from)),
        }
    }
    head
}

/// These say how bytes travel on one connection, which is not the function's to say.
const HOP_BY_HOP: [&str; 3] = ["connection", "transfer-encoding", "upgrade"];

fn respond(answer: invocation::Response) -> Result<Response, ErrorCode> {
    let mut lines = answer.head.split('\n');
    let status = lines.next().and_then(|line| line.split(' ').next()).unwrap_or_default();
    let status: u16 = status.parse().map_err(|_| ErrorCode::InternalError(Some(format!("{status:?} is no status"))))?;
    let fields = Fields::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        let is_ours = HOP_BY_HOP.contains(&name) || (name == "content-length" && answer.body.is_none());
        if !is_ours {
            let appended = fields.append(name, value.as_bytes());
            appended.map_err(|error| ErrorCode::InternalError(Some(format!("header {name}: {error:?}"))))?;
        }
    }
    let (trailers, trailers_reader) = wit_future::new(|| Ok(None));
    let (body, ended) = match answer.body {
        Some((body, ended)) => (Some(body), Some(ended)),
        None if answer.whole.is_empty() => (None, None),
        None => {
            let _ = fields.append("content-length", answer.whole.len().to_string().as_bytes());
            let (mut writer, reader) = wit_stream::new();
            wit_bindgen::spawn_local(async move {
                // What is left has nobody who reads it.
                let _ = writer.write_all(answer.whole).await;
            });
            (Some(reader), None)
        }
    };
    wit_bindgen::spawn_local(async move {
        let end = match ended {
            Some(ended) => ended.await,
            None => Ok(()),
        };
        let end = end.map(|()| None).map_err(|message| ErrorCode::InternalError(Some(message)));
        let _ = trailers.write(end).await;
    });
    let (response, _) = Response::new(fields, body, trailers_reader);
    response.set_status_code(status).map_err(|()| ErrorCode::InternalError(Some(format!("{status} is no status"))))?;
    Ok(response)
}

fn to_runtime(context: invocation::Context) -> bindings::Context {
    bindings::Context {
        entry: context.entry,
        settings: context.settings,
        id: context.id,
        seed_low: context.seed_low,
        seed_high: context.seed_high,
        remaining_ms: context.remaining_ms,
    }
}

fn to_event(event: invocation::Event) -> bindings::Event {
    let body = |body| match body {
        invocation::Body::None => bindings::Body::None,
        invocation::Body::Text(text) => bindings::Body::Text(text),
        invocation::Body::Bytes(bytes) => bindings::Body::Bytes(bytes),
        invocation::Body::Base64(text) => bindings::Body::Base64(text),
        invocation::Body::Handle(handle) => bindings::Body::Handle(handle),
    };
    match event {
        invocation::Event::Http((head, content)) => bindings::Event::Http((head, body(content))),
        invocation::Event::Gateway(json) => bindings::Event::Gateway(json),
    }
}

fn to_host(reply: bindings::Reply) -> invocation::Reply {
    let body = |body| match body {
        bindings::Body::None => invocation::Body::None,
        bindings::Body::Text(text) => invocation::Body::Text(text),
        bindings::Body::Bytes(bytes) => invocation::Body::Bytes(bytes),
        bindings::Body::Base64(text) => invocation::Body::Base64(text),
        bindings::Body::Handle(handle) => invocation::Body::Handle(handle),
    };
    match reply {
        bindings::Reply::Http((head, content)) => invocation::Reply::Http((head, body(content))),
        bindings::Reply::Json(json) => invocation::Reply::Json(json),
        bindings::Reply::Failed(thrown) => invocation::Reply::Failed(thrown),
    }
}
