//! Which cold-start figures stand for a runtime: its own, those of its family, or the provider's default.

use super::profile::{ColdStart, RuntimeInit};

/// Runtimes that a manifest may name although no profile has figures of their own, so that a project keeps its names
/// when it changes the provider.
const OTHERS: [&str; 2] = ["provided.al2023", "powershell7"];

/// No provider knows a runtime of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no runtime is called `{runtime}`; did you mean `{nearest}`?")]
pub struct UnknownRuntime {
    pub runtime: String,
    pub nearest: String,
}

impl ColdStart {
    /// The figures for this name: its own, else those of the nearest version of its family (`nodejs20` -> `nodejs22`),
    /// else the provider's default for compiled code or scripts.
    ///
    /// # Errors
    /// When neither this nor any other profile knows the family.
    pub fn runtime(&self, name: &str) -> Result<&RuntimeInit, UnknownRuntime> {
        if let Some(init) = self.runtimes.get(name) {
            return Ok(init);
        }
        let (family, version) = split(name);
        let nearest_version = self
            .runtimes
            .iter()
            .filter(|(other, _)| split(other).0 == family)
            .min_by(|(a, _), (b, _)| distance(split(a).1, version).total_cmp(&distance(split(b).1, version)));
        if let Some((_, init)) = nearest_version {
            return Ok(init);
        }
        if !known().any(|other| split(other).0 == family) {
            return Err(UnknownRuntime {
                runtime: String::from(name),
                nearest: nearest(name),
            });
        }
        let default = if matches!(family, "go" | "rust" | "provided.al") {
            &self.wasm
        } else {
            &self.script
        };
        self.runtimes.get(default).ok_or_else(|| UnknownRuntime {
            runtime: String::from(name),
            nearest: default.clone(),
        })
    }
}

/// Every name that some profile has figures for.
pub fn known() -> impl Iterator<Item = &'static str> {
    super::all()
        .iter()
        .flat_map(|profile| profile.cold_start.runtimes.keys().map(String::as_str))
        .chain(OTHERS)
}

fn nearest(name: &str) -> String {
    let wanted = name.to_ascii_lowercase();
    let mut best = (0.0, super::all()[0].cold_start.script.as_str());
    for other in known() {
        let score = strsim::jaro_winkler(&wanted, other);
        if score > best.0 {
            best = (score, other);
        }
    }
    String::from(best.1)
}

/// `python3.12` -> (`python`, 3.12 as (3, 12)).
fn split(name: &str) -> (&str, f64) {
    let end = name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len());
    let (family, version) = name.split_at(end);
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let major = parts.next().unwrap_or(0);
    let minor = parts.next().unwrap_or(0);
    (family, f64::from(major) + f64::from(minor.min(999)) / 1000.0)
}

fn distance(a: f64, b: f64) -> f64 {
    (a - b).abs()
}
