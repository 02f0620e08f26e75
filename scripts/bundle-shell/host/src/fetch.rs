//! `fetch` of the prelude, by `wasi:http/client`.

use wasip3::http::client;
use wasip3::http::types::{Fields, Method, Request, Response, Scheme};

use crate::bodies::Slot;
use crate::{with, with_sources, wit_stream};

/// Hop-by-hop headers, and the host, which follows from the address.
const STRIPPED: [&str; 8] = [
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "transfer-encoding", "upgrade", "host",
];

/// The head of the response and the handle of its body.
pub async fn fetch(head: &str, body: Option<Vec<u8>>, sink: Option<u32>) -> Result<(String, u32), String> {
    let mut lines = head.split('\n');
    let first = lines.next().and_then(|line| line.split_once(' '));
    let (method, address) = first.ok_or("the request has no address")?;
    let url = url::Url::parse(address).map_err(|error| format!("invalid request: {error}"))?;
    let host = url.host_str().ok_or("invalid request: the URL has no host")?;
    let is_allowed = with_sources(|sources| crate::allow::judge(&sources.allow_hosts, host, url.port_or_known_default().unwrap_or(443)));
    if is_allowed == crate::allow::Verdict::Denied {
        return Err(format!("{host} is not in allow_hosts, as it was in emu.toml when this bundle was made"));
    }
    let fields = Fields::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        if !STRIPPED.contains(&name) {
            fields.append(name, value.as_bytes()).map_err(|error| format!("invalid request: header {name}: {error:?}"))?;
        }
    }
    let content = match (body, sink) {
        (Some(bytes), _) if bytes.is_empty() => None,
        (Some(bytes), _) => {
            let (mut writer, reader) = wit_stream::new();
            wit_bindgen::spawn_local(async move {
                // What is left has nobody who reads it.
                let _ = writer.write_all(bytes).await;
            });
            Some(reader)
        }
        (None, Some(handle)) => Some(with(|state| state.bodies.take(handle))?),
        (None, None) => None,
    };
    let (trailers, trailers_reader) = wasip3::wit_future::new(|| Ok(None));
    wit_bindgen::spawn_local(async move {
        let _ = trailers.write(Ok(None)).await;
    });
    let (request, _) = Request::new(fields, content, trailers_reader, None);
    let refused = |what: &str| format!("invalid request: {what}");
    request.set_method(&method_of(method)).map_err(|()| refused("its method"))?;
    let scheme = if url.scheme() == "https" { Scheme::Https } else { Scheme::Http };
    request.set_scheme(Some(&scheme)).map_err(|()| refused("its scheme"))?;
    let authority = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    request.set_authority(Some(&authority)).map_err(|()| refused("its host"))?;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    request.set_path_with_query(Some(path)).map_err(|()| refused("its path"))?;
    let response = client::send(request).await.map_err(|error| format!("{host}: {error:?}"))?;
    let status = response.get_status_code();
    let reason = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
    let mut head = format!("{status} {reason}");
    for (name, value) in response.get_headers().copy_all() {
        head.push_str(&format!("\n{name}: {}", String::from_utf8_lossy(&value)));
    }
    let (end, ended) = wasip3::wit_future::new(|| Ok(()));
    let (body, _) = Response::consume_body(response, ended);
    drop(end);
    let handle = with(|state| state.bodies.insert(Slot::Arriving(body)))?;
    Ok((head, handle))
}

fn method_of(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}
