//! Images and artefacts to a registry, by the credentials that Docker's and Podman's own commands have left.

use std::path::Path;

use bytes::Bytes;
use docker_credential::DockerCredential;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use serde_json::Value;

use super::PackError;
use super::layout::MANIFEST;

/// The name that credential files have for the registry of Docker.
const DOCKER: &str = "https://index.docker.io/v1/";

/// Where to push: `ghcr.io/me/shop:v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub registry: String,
    pub repository: String,
    /// As it was typed.
    pub tag: Option<String>,
}

/// Reads where to push.
///
/// # Errors
/// When it names no repository.
pub fn target(text: &str) -> Result<Target, String> {
    let read: Reference = text
        .parse()
        .map_err(|error| format!("{error}: expected REGISTRY/REPOSITORY[:TAG], such as ghcr.io/me/shop:v1"))?;
    // Without a tag the reference has `latest`, which nobody asked for.
    let last = text.rsplit('/').next().unwrap_or_default();
    let has_tag = last.split('@').next().is_some_and(|name| name.contains(':'));
    Ok(Target {
        registry: read.registry().to_owned(),
        repository: read.repository().to_owned(),
        tag: read.tag().filter(|_| has_tag).map(str::to_owned),
    })
}

/// Pushes a manifest and all it refers to; what is there already is not sent again. The digest's reference.
///
/// # Errors
/// When the registry does not take it.
pub async fn push(blobs: &Path, digest: &str, to: &Reference) -> Result<String, PackError> {
    // Another part of the program may have chosen one before.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let registry = to.resolve_registry().to_owned();
    let config = ClientConfig {
        protocol: match is_local(&registry) {
            true => ClientProtocol::HttpsExcept(vec![registry.clone()]),
            false => ClientProtocol::Https,
        },
        ..ClientConfig::default()
    };
    let client = Client::new(config);
    let failed = |error: OciDistributionError| {
        let remedy = match &error {
            // Refusals of the registry are errors of this kind too.
            OciDistributionError::RequestError(error) if error.is_connect() || error.is_timeout() => {
                "see that the registry's name is right and that it can be reached"
            }
            _ => "log in with `docker login` or `podman login`, and see that you may write to this repository",
        };
        PackError::new(format!("{registry} does not take it: {error}")).remedy(remedy)
    };
    let auth = credentials(&registry)?;
    client.auth(to, &auth, RegistryOperation::Push).await.map_err(failed)?;
    let read = |digest: &str| -> Result<Bytes, PackError> {
        let path = blobs.join(digest.strip_prefix("sha256:").unwrap_or(digest));
        std::fs::read(&path).map(Bytes::from).map_err(PackError::at(path))
    };
    let manifest = read(digest)?;
    let parsed: Value = serde_json::from_slice(&manifest)
        .map_err(|error| PackError::new(format!("the manifest cannot be read: {error}")))?;
    let layers = parsed["layers"].as_array().into_iter().flatten();
    for blob in layers
        .chain([&parsed["config"]])
        .filter_map(|blob| blob["digest"].as_str())
    {
        if !client.blob_exists(to, blob).await.map_err(failed)? {
            client.push_blob(to, read(blob)?, blob).await.map_err(failed)?;
        }
    }
    let kind = http::HeaderValue::from_static(MANIFEST);
    client.push_manifest_raw(to, manifest, kind).await.map_err(failed)?;
    Ok(format!("{}/{}@{digest}", to.registry(), to.repository()))
}

/// A registry on this machine has no certificate.
fn is_local(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn credentials(registry: &str) -> Result<RegistryAuth, PackError> {
    let names = match registry {
        "index.docker.io" | "docker.io" => vec![DOCKER, registry],
        _ => vec![registry],
    };
    for name in names {
        let found = docker_credential::get_credential(name).or_else(|_| docker_credential::get_podman_credential(name));
        match found {
            Ok(DockerCredential::UsernamePassword(user, password)) => return Ok(RegistryAuth::Basic(user, password)),
            // What a registry gives for it is asked for with an empty name.
            Ok(DockerCredential::IdentityToken(token)) => {
                return Ok(RegistryAuth::Basic("<token>".to_owned(), token));
            }
            Err(docker_credential::CredentialRetrievalError::HelperFailure { helper, stderr, .. }) => {
                let said = stderr.lines().next().unwrap_or_default().to_owned();
                return Err(PackError::new(format!("the credential helper {helper} failed: {said}")));
            }
            // No file, or nothing in it for this registry.
            Err(_) => {}
        }
    }
    Ok(RegistryAuth::Anonymous)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_to() {
        assert!(is_local("localhost:5000") && is_local("127.0.0.1:5000") && !is_local("ghcr.io"));
        let read = |text: &str| {
            let to = target(text).expect("a reference");
            (to.registry, to.repository, to.tag)
        };
        let expect = |registry: &str, repository: &str, tag: Option<&str>| {
            (registry.to_owned(), repository.to_owned(), tag.map(str::to_owned))
        };
        assert_eq!(read("ghcr.io/me/shop:v1"), expect("ghcr.io", "me/shop", Some("v1")));
        assert_eq!(read("localhost:5000/shop"), expect("localhost:5000", "shop", None));
        assert!(target("Shop:!").is_err());
    }
}
