//! The dashboard's files, compiled in: a small table of path to bytes. No path of a request reaches the file system.

use std::fmt::Write as _;
use std::sync::LazyLock;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use sha2::{Digest as _, Sha256};

use super::{ApiFailure, Reply, failure_reply};

/// Below it are the page's scripts and styles.
pub const FOLDER: &str = "/dashboard/";

struct Asset {
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    etag: String,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! assets {
    ($($path:literal: $kind:expr,)*) => {
        static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| vec![
            $(asset($path, $kind, include_bytes!(concat!("../dashboard/", $path))),)*
        ]);
    };
}

assets! {
    "index.html": HTML,
    "style.css": CSS,
    "icon.svg": SVG,
    "api.js": JS,
    "app.js": JS,
    "bill.js": JS,
    "demo.js": JS,
    "dom.js": JS,
    "draw.js": JS,
    "en.js": JS,
    "exchange.js": JS,
    "format.js": JS,
    "functions.js": JS,
    "group.js": JS,
    "i18n.js": JS,
    "invocations.js": JS,
    "live.js": JS,
    "model.js": JS,
    "parts.js": JS,
    "pt.js": JS,
    "queues.js": JS,
    "rates.js": JS,
    "request.js": JS,
    "timeline.js": JS,
    "tour.js": JS,
}

fn asset(path: &'static str, kind: &'static str, bytes: &'static [u8]) -> Asset {
    let sum = Sha256::digest(bytes);
    let etag = sum[..8].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    Asset {
        path,
        kind,
        bytes,
        etag: format!("\"{etag}\""),
    }
}

/// Whether this is the page or one of its files: they hold nothing of the project, and need no token.
pub fn is_page(method: &Method, path: &str) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && (path == "/" || path.starts_with(FOLDER))
}

/// GET `/` (an empty name) and `/dashboard/{name}`.
pub fn reply(name: &str, headers: &HeaderMap) -> Reply {
    let name = if name.is_empty() { "index.html" } else { name };
    let Some(asset) = ASSETS.iter().find(|asset| asset.path == name) else {
        let failure = ApiFailure::new(StatusCode::NOT_FOUND, "not-found", "the dashboard has no such file");
        return failure_reply(&failure.remedy("GET / is the dashboard, GET /_emu/health and so on its data"));
    };
    let bytes = current(asset);
    let known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|tags| tags.as_bytes() == asset.etag.as_bytes());
    let mut response = match known && bytes.is_none() {
        true => Reply::new("".into()),
        false => Reply::new(bytes.unwrap_or_else(|| asset.bytes.to_vec()).into()),
    };
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    // Kept, and asked for again each time: another emulator may stand behind the same port next time.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(etag) = HeaderValue::from_str(&asset.etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

/// In debug builds, the file as it is now in the folder that `EMU_DASHBOARD_DIR` names, for work on the page.
#[cfg(debug_assertions)]
fn current(asset: &Asset) -> Option<Vec<u8>> {
    let folder = std::env::var_os("EMU_DASHBOARD_DIR")?;
    std::fs::read(std::path::Path::new(&folder).join(asset.path)).ok()
}

#[cfg(not(debug_assertions))]
fn current(_: &Asset) -> Option<Vec<u8>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served_and_none_elsewhere() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/live/dashboard");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        let mut served: Vec<&str> = ASSETS.iter().map(|asset| asset.path).collect();
        files.sort();
        served.sort_unstable();
        assert_eq!(files, served);
        for name in ["../Cargo.toml", "%2e%2e/mod.rs", "/etc/passwd", "nothing.js"] {
            assert_eq!(reply(name, &HeaderMap::new()).status(), StatusCode::NOT_FOUND, "{name}");
        }
    }

    #[test]
    fn nothing_comes_from_elsewhere_and_nothing_is_inline() {
        for asset in ASSETS.iter() {
            let text = String::from_utf8_lossy(asset.bytes);
            for (banned, why) in [
                ("innerHTML", "guest text is never markup"),
                ("outerHTML", "guest text is never markup"),
                ("insertAdjacentHTML", "guest text is never markup"),
                ("document.write", "guest text is never markup"),
                ("eval(", "the policy forbids it"),
                ("https://", "it works offline"),
                (" onclick=", "the policy forbids inline scripts"),
                (" style=", "the policy forbids inline styles"),
            ] {
                assert!(!text.contains(banned), "{}: {banned}: {why}", asset.path);
            }
        }
    }

    #[test]
    fn a_file_that_is_known_is_not_sent_again() {
        let first = reply("style.css", &HeaderMap::new());
        let etag = first.headers()[header::ETAG].clone();
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, etag);
        assert_eq!(reply("style.css", &headers).status(), StatusCode::NOT_MODIFIED);
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
        assert_eq!(reply("style.css", &headers).status(), StatusCode::OK);
    }
}
