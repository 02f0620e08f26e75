//! Providers as data: prices, limits, keep-alive, scaling rates and cold starts from TOML, each figure with its source.
//!
//! The files beside this one are the only place where a provider's figure stands. They are part of the binary.

mod check;
mod profile;
mod runtime;
#[cfg(test)]
mod tests;
pub mod units;

use std::sync::{Arc, LazyLock};

use serde::Deserialize;

pub use profile::{
    Asynchronous, Batch, Beyond, Billing, Body, ColdStart, Cron, Instance, Memory, MemoryBasis, PackagePoint, Pollers,
    Profile, Queue, Rate, Rates, RuntimeInit, Scaling, Server, Tier, Timeout, VcpuRow,
};
pub use runtime::{UnknownRuntime, known as known_runtimes};

/// The profile of a project that names none.
pub const DEFAULT_ID: &str = "aws-lambda";

const FILES: [(&str, &str); 4] = [
    ("aws-lambda.toml", include_str!("aws-lambda.toml")),
    ("gcp-functions.toml", include_str!("gcp-functions.toml")),
    ("azure-functions.toml", include_str!("azure-functions.toml")),
    ("cloudflare-workers.toml", include_str!("cloudflare-workers.toml")),
];

static PROFILES: LazyLock<Vec<Arc<Profile>>> = LazyLock::new(|| {
    FILES
        .iter()
        .map(|(file, text)| match parse(text) {
            Ok(profile) => Arc::new(profile),
            Err(error) => unreachable!("{file} is part of the binary and its tests hold it valid: {error}"),
        })
        .collect()
});

static SERVERS: LazyLock<Vec<Server>> = LazyLock::new(|| match parse_servers(include_str!("servers.toml")) {
    Ok(servers) => servers,
    Err(error) => unreachable!("servers.toml is part of the binary and its tests hold it valid: {error}"),
});

/// No profile has this id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no provider is called `{id}`; did you mean `{nearest}`? (there are {})", ids().join(", "))]
pub struct UnknownProvider {
    pub id: String,
    pub nearest: &'static str,
}

/// Every profile, in the order in which reports list them.
pub fn all() -> &'static [Arc<Profile>] {
    &PROFILES
}

/// The ids of [`all`].
pub fn ids() -> Vec<&'static str> {
    all().iter().map(|profile| profile.id.as_str()).collect()
}

/// The profile with this id, or the id that looks most like it.
pub fn by_id(id: &str) -> Result<Arc<Profile>, UnknownProvider> {
    all()
        .iter()
        .find(|profile| profile.id == id)
        .cloned()
        .ok_or_else(|| UnknownProvider {
            id: String::from(id),
            nearest: nearest_id(id),
        })
}

/// Always-on machines to compare a bill with.
pub fn servers() -> &'static [Server] {
    &SERVERS
}

/// `lambda` and `google` are nearer to a provider than any edit distance of the whole id tells, so the words of id and
/// name count as well.
fn nearest_id(id: &str) -> &'static str {
    let wanted = id.to_ascii_lowercase();
    let likeness = |profile: &Profile| {
        let name = profile.name.to_ascii_lowercase();
        let words = profile.id.split('-').chain(name.split(' '));
        let part = words
            .map(|word| strsim::jaro_winkler(&wanted, word))
            .fold(0.0, f64::max);
        strsim::jaro_winkler(&wanted, &profile.id).max(part)
    };
    let mut best = (f64::MIN, DEFAULT_ID);
    for profile in all() {
        let score = likeness(profile);
        if score > best.0 {
            best = (score, profile.id.as_str());
        }
    }
    best.1
}

/// Reads a profile and checks what its types cannot hold. The error says where, in the file's own terms.
pub fn parse(text: &str) -> Result<Profile, String> {
    let profile: Profile = toml::from_str(text).map_err(|error| error.to_string())?;
    profile.check()?;
    Ok(profile)
}

fn parse_servers(text: &str) -> Result<Vec<Server>, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        server: Vec<Server>,
    }
    toml::from_str::<File>(text)
        .map(|file| file.server)
        .map_err(|error| error.to_string())
}
