//! Providers as data: prices, limits, keep-alive, scaling rates and cold starts from TOML, each figure with its source.

/// One provider's rules, validated.
#[derive(Clone, Debug)]
pub struct Profile {
    /// `aws-lambda`, `gcp-functions`, `azure-functions`, `cloudflare-workers`.
    pub id: String,
    /// What placement, queues and retries follow.
    pub rules: crate::platform::rules::Rules,
}
