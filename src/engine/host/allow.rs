//! Which hosts a function may reach, by name. Pure: bundles hold to it too (`scripts/bundle-shell`).

/// What `allow_hosts` says of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Denied,
    /// Only at public addresses.
    Public,
    /// By name and port: at any address.
    Anywhere,
}

/// `api.example.com`, `*.example.com`, each with or without a port; `*` for every public host.
pub fn judge(allow_hosts: &[String], host: &str, port: u16) -> Verdict {
    let mut verdict = Verdict::Denied;
    for entry in allow_hosts {
        let (name, entry_port) = split_port(entry);
        let name = name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if entry_port.is_some_and(|entry_port| entry_port != port) {
            continue;
        }
        if name == host {
            if entry_port.is_some() {
                return Verdict::Anywhere;
            }
            verdict = Verdict::Public;
        } else if name == "*"
            || name
                .strip_prefix('*')
                .is_some_and(|suffix| suffix.starts_with('.') && host.ends_with(suffix))
        {
            verdict = Verdict::Public;
        }
    }
    verdict
}

fn split_port(entry: &str) -> (&str, Option<u16>) {
    match entry.rsplit_once(':') {
        // More than one colon and no brackets: an IPv6 address without a port.
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}
