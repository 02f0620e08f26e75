//! Images and artefacts to a registry, by the credentials that Docker's and Podman's own commands have left.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use docker_credential::{CredentialRetrievalError, DockerCredential};
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
    const EXPECTED: &str = "expected REGISTRY/REPOSITORY[:TAG], such as ghcr.io/me/shop:v1";
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(format!("{EXPECTED}, without {scheme}://"));
    }
    if !text.contains('/') {
        return Err(format!("{EXPECTED}; docker.io/ME/{text} is Docker Hub"));
    }
    let read: Reference = text.parse().map_err(|error| format!("{error}: {EXPECTED}"))?;
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
    let login = login(&registry);
    let failed = |error: OciDistributionError| refused(&registry, &error, login.trouble.as_deref());
    let auth = &login.auth;
    client.auth(to, auth, RegistryOperation::Push).await.map_err(failed)?;
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

/// Why a registry did not take something, in one line, and what to do. `trouble`: why no credentials were found.
fn refused(registry: &str, error: &OciDistributionError, trouble: Option<&str>) -> PackError {
    let mut is_login = false;
    let (why, remedy) = match error {
        // Refusals of the registry are errors of this kind too.
        OciDistributionError::RequestError(error) if error.is_connect() || error.is_timeout() => (
            root_cause(error),
            "see that the registry's name is right and that it can be reached",
        ),
        OciDistributionError::ServerError { code, .. } => (
            format!("it answers with {code}"),
            "see that a registry is there, and try again when it is well",
        ),
        other => {
            is_login = true;
            (
                status(other).unwrap_or_else(|| root_cause(other)),
                "log in with `docker login` or `podman login`, and see that you may write to this repository",
            )
        }
    };
    let why = why.lines().next().unwrap_or_default();
    let why = match trouble.filter(|_| is_login) {
        Some(trouble) => format!("{why} (no login: {trouble})"),
        None => why.to_owned(),
    };
    PackError::new(format!("{registry} does not take it: {why}")).remedy(remedy)
}

/// `it answers with 401 Unauthorized`.
fn status(error: &OciDistributionError) -> Option<String> {
    match error {
        OciDistributionError::RequestError(error) => Some(format!("it answers with {}", error.status()?)),
        _ => None,
    }
}

/// The innermost of what led to it: `Connection refused`.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

struct Login {
    auth: RegistryAuth,
    /// Why there may be credentials that could not be had.
    trouble: Option<String>,
}

/// What the commands have left for this registry; anonymous when they left nothing.
fn login(registry: &str) -> Login {
    let names = match registry {
        "index.docker.io" | "docker.io" => vec![DOCKER, registry],
        _ => vec![registry],
    };
    let mut login = Login {
        auth: RegistryAuth::Anonymous,
        trouble: None,
    };
    for path in credential_files() {
        for name in &names {
            match credential(&path, name) {
                Ok(None) => {}
                Ok(Some(DockerCredential::UsernamePassword(user, password))) => {
                    login.auth = RegistryAuth::Basic(user, password);
                    return login;
                }
                // What a registry gives for it is asked for with an empty name.
                Ok(Some(DockerCredential::IdentityToken(token))) => {
                    login.auth = RegistryAuth::Basic("<token>".to_owned(), token);
                    return login;
                }
                Err(trouble) => login.trouble = Some(trouble),
            }
        }
    }
    login
}

/// Where the commands keep them, by containers-auth.json(5) and Docker's own documentation.
fn credential_files() -> Vec<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let home = |below: &str| variable("HOME").map(|home| home.join(below));
    let docker = variable("DOCKER_CONFIG").or_else(|| home(".docker"));
    let config = variable("XDG_CONFIG_HOME").or_else(|| home(".config"));
    let folders = [variable("XDG_RUNTIME_DIR"), config].into_iter().flatten();
    let mut files: Vec<PathBuf> = variable("REGISTRY_AUTH_FILE").into_iter().collect();
    files.extend(docker.map(|folder| folder.join("config.json")));
    files.extend(folders.map(|folder| folder.join("containers/auth.json")));
    files.extend(without_session());
    files
}

/// Where Podman keeps them for who has no XDG_RUNTIME_DIR.
#[cfg(unix)]
fn without_session() -> Option<PathBuf> {
    let user = rustix::process::getuid().as_raw();
    Some(PathBuf::from(format!("/run/containers/{user}/auth.json")))
}

#[cfg(not(unix))]
fn without_session() -> Option<PathBuf> {
    None
}

/// What a file has for a registry; an error when it may have something that cannot be had.
fn credential(path: &Path, registry: &str) -> Result<Option<DockerCredential>, String> {
    let shown = path.display();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{shown}: {error}")),
    };
    match docker_credential::get_credential_from_reader(BufReader::new(file), registry) {
        Ok(found) => Ok(Some(found)),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(None),
        Err(CredentialRetrievalError::HelperFailure { helper, stdout, stderr }) => {
            let said = format!("{stdout}{stderr}");
            match said.contains("credentials not found") {
                true => Ok(None),
                false => Err(format!("{helper} says: {}", said.lines().next().unwrap_or_default())),
            }
        }
        Err(CredentialRetrievalError::HelperCommunicationError) => {
            Err(format!("the credential helper that {shown} names cannot be started"))
        }
        Err(CredentialRetrievalError::ConfigReadError) => Err(format!("{shown} is no JSON")),
        Err(error) => Err(format!("{shown}: {error}")),
    }
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
        let error = target("https://ghcr.io/me/shop").expect_err("an address");
        assert!(error.contains("without https://"), "{error}");
        let error = target("shop").expect_err("no registry");
        assert!(error.contains("ghcr.io/me/shop"), "{error}");
    }

    #[test]
    fn what_a_login_left_is_found_and_what_is_wrong_with_it_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.json");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("a file");
            credential(&path, "localhost:5000")
        };
        assert_eq!(credential(&folder.path().join("none"), "localhost:5000"), Ok(None));
        assert_eq!(read(r#"{"auths": {"ghcr.io": {"auth": "bWU6c2VjcmV0"}}}"#), Ok(None));
        let found = DockerCredential::UsernamePassword("me".to_owned(), "secret".to_owned());
        assert_eq!(
            read(r#"{"auths": {"localhost:5000": {"auth": "bWU6c2VjcmV0"}}}"#),
            Ok(Some(found))
        );
        let error = read("{").expect_err("damaged");
        assert!(error.contains("config.json is no JSON"), "{error}");
        let error = read(r#"{"credHelpers": {"localhost:5000": "not-installed-anywhere"}}"#).expect_err("no helper");
        assert!(error.contains("cannot be started"), "{error}");
    }
}
