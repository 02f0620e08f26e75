//! What the prelude leaves to Rust: addresses and encodings. Pure functions of their arguments.

use encoding_rs::Encoding;
use url::{Url, quirks};

/// The parts of an address as `url-parse` answers them: href, protocol, username, password, host, hostname, port,
/// pathname, search, hash, origin, one a line. No part can hold a line break.
fn parts(url: &Url) -> String {
    let origin = quirks::origin(url);
    let all = [
        quirks::href(url),
        quirks::protocol(url),
        quirks::username(url),
        quirks::password(url),
        quirks::host(url),
        quirks::hostname(url),
        quirks::port(url),
        quirks::pathname(url),
        quirks::search(url),
        quirks::hash(url),
        &origin,
    ];
    all.join("\n")
}

/// `None` when `input` is no address against `base`.
pub fn parse_url(input: &str, base: Option<&str>) -> Option<String> {
    let base = match base {
        Some(base) => Some(Url::parse(base).ok()?),
        None => None,
    };
    Url::options()
        .base_url(base.as_ref())
        .parse(input)
        .ok()
        .map(|url| parts(&url))
}

/// `None` when the value is refused, which leaves the address as it was.
pub fn set_url_part(href: &str, part: &str, value: &str) -> Option<String> {
    let mut url = Url::parse(href).ok()?;
    let set = match part {
        "protocol" => quirks::set_protocol(&mut url, value),
        "username" => quirks::set_username(&mut url, value),
        "password" => quirks::set_password(&mut url, value),
        "host" => quirks::set_host(&mut url, value),
        "hostname" => quirks::set_hostname(&mut url, value),
        "port" => quirks::set_port(&mut url, value),
        "pathname" => {
            quirks::set_pathname(&mut url, value);
            Ok(())
        }
        "search" => {
            quirks::set_search(&mut url, value);
            Ok(())
        }
        "hash" => {
            quirks::set_hash(&mut url, value);
            Ok(())
        }
        _ => Err(()),
    };
    set.ok().map(|()| parts(&url))
}

/// The name of an encoding by one of its labels.
pub fn encoding_name(label: &str) -> Option<&'static str> {
    Encoding::for_label_no_replacement(label.as_bytes()).map(Encoding::name)
}

/// `None` when `fatal` and the bytes are malformed, or when there is no such encoding.
pub fn decode(name: &str, bytes: &[u8], fatal: bool, keep_bom: bool) -> Option<String> {
    let encoding = Encoding::for_label_no_replacement(name.as_bytes())?;
    let bytes = if keep_bom { bytes } else { without_bom(encoding, bytes) };
    if fatal {
        return encoding
            .decode_without_bom_handling_and_without_replacement(bytes)
            .map(Into::into);
    }
    Some(encoding.decode_without_bom_handling(bytes).0.into_owned())
}

fn without_bom<'bytes>(encoding: &'static Encoding, bytes: &'bytes [u8]) -> &'bytes [u8] {
    match Encoding::for_bom(bytes) {
        Some((found, length)) if found == encoding => &bytes[length..],
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_fall_into_parts() {
        let parts = parse_url("../b?x=1#y", Some("http://u:p@Example.com:8080/a/c/d")).expect("an address");
        let expect = "http://u:p@example.com:8080/a/b?x=1#y\nhttp:\nu\np\nexample.com:8080\nexample.com\n8080\n/a/b\n?x=1\n#y\n\
                      http://example.com:8080";
        assert_eq!(parts, expect);
        assert_eq!(parse_url("/a", None), None);
        assert_eq!(parse_url("/a", Some("nonsense")), None);
    }

    #[test]
    fn parts_are_set_as_browsers_do() {
        let set = |part, value| {
            set_url_part("http://a/b", part, value).map(|all| all.lines().next().unwrap_or("").to_owned())
        };
        assert_eq!(set("pathname", "c d").as_deref(), Some("http://a/c%20d"));
        assert_eq!(set("search", "q=ü").as_deref(), Some("http://a/b?q=%C3%BC"));
        assert_eq!(set("port", "443").as_deref(), Some("http://a:443/b"));
        assert_eq!(set("protocol", "mailto"), None);
        assert_eq!(set("nonsense", "x"), None);
    }

    #[test]
    fn text_is_decoded() {
        assert_eq!(encoding_name("utf8"), Some("UTF-8"));
        assert_eq!(encoding_name("latin1"), Some("windows-1252"));
        assert_eq!(encoding_name("klingon"), None);
        assert_eq!(
            decode("UTF-8", b"\xef\xbb\xbfa\xff", false, false).as_deref(),
            Some("a\u{fffd}")
        );
        assert_eq!(
            decode("UTF-8", b"\xef\xbb\xbfa", false, true).as_deref(),
            Some("\u{feff}a")
        );
        assert_eq!(decode("UTF-8", b"a\xff", true, false), None);
        assert_eq!(decode("windows-1252", b"\x80", true, false).as_deref(), Some("€"));
    }
}
