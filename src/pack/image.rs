//! The image of a project: layers from what hardly ever changes (the system, emu) to what a saved file changes (the code), and
//! the configuration by which engines run it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::PackError;
use super::files::{self, Files};
use super::layer::{Compression, Content, Layer, Tree};
use super::layout::{Base, Blob, Layout, MANIFEST};
use super::system::{Program, USER};
use crate::project::MANIFEST as MANIFEST_FILE;

/// The port of an image unless `PORT` says otherwise, as platforms for containers do.
pub const PORT: u16 = 8080;
const APP: &str = "app";
const EMU: &str = "usr/local/bin/emu";
const CACHE: &str = "var/cache/emu";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// What an image is made of.
pub struct Input<'a> {
    pub program: &'a Program,
    /// The project's folder.
    pub root: &'a Path,
    /// Compiled code that all scripts share.
    pub runtime: &'a [PathBuf],
    pub base: Option<&'a Path>,
    pub compression: Compression,
    /// Seconds since 1970 that everything is dated.
    pub time_s: u64,
    pub tag: &'a str,
    pub images: Vec<Image>,
}

/// One image of the layout.
pub struct Image {
    pub name: String,
    /// `None`: all that the project has.
    pub functions: Option<Vec<String>>,
    pub files: Files,
    /// emu.toml where it is not the project's own.
    pub manifest: Option<String>,
    pub has_scripts: bool,
    /// Compiled code of its functions' own.
    pub code: Vec<PathBuf>,
    pub labels: BTreeMap<String, String>,
    /// Names of variables that functions get from the container's environment.
    pub passed: Vec<String>,
}

/// What was written of an image.
#[derive(Clone, Debug)]
pub struct Written {
    pub name: String,
    pub reference: String,
    pub digest: String,
    pub layers: Vec<Layer>,
    /// Of a base that somebody else made.
    pub base_bytes: u64,
}

/// Writes the images into the layout; the descriptors for its index as well.
///
/// # Errors
/// When something cannot be read or written.
pub fn write(input: &Input<'_>, layout: &Layout) -> Result<Vec<(Written, Value)>, PackError> {
    let architecture = input.program.architecture()?;
    let base = match input.base {
        Some(from) => Some(Base::copy(from, architecture, layout)?),
        None => None,
    };
    let mut layers = Layers {
        input,
        blobs: layout.blobs(),
        made: Vec::new(),
    };
    let shared = layers.shared(base.is_some())?;
    let mut written = Vec::new();
    for image in &input.images {
        let layers = layers.of(image, &shared)?;
        written.push(one(input, image, layers, base.as_ref(), layout)?);
    }
    Ok(written)
}

/// Layers by what is in them: images that have the same share it.
struct Layers<'a> {
    input: &'a Input<'a>,
    blobs: PathBuf,
    made: Vec<(Tree, Layer)>,
}

impl Layers<'_> {
    /// What all images have, and what hardly ever changes.
    fn shared(&mut self, has_base: bool) -> Result<Vec<Layer>, PackError> {
        let input = self.input;
        let mut layers = Vec::new();
        if !has_base {
            layers.push(self.layer(input.program.base()?, "system")?);
        }
        let mut emu = Tree::default();
        emu.file(EMU, Content::Path(input.program.path.clone()), 0o755, 0);
        cache(&mut emu, &[]);
        layers.push(self.layer(emu, "emu")?);
        Ok(layers)
    }

    /// From what hardly ever changes to what often does.
    fn of(&mut self, image: &Image, shared: &[Layer]) -> Result<Vec<Layer>, PackError> {
        let input = self.input;
        let mut layers = shared.to_vec();
        if image.has_scripts && !input.runtime.is_empty() {
            let mut scripts = Tree::default();
            cache(&mut scripts, input.runtime);
            layers.push(self.layer(scripts, "scripts")?);
        }
        let mut packages = Tree::default();
        files::add(&mut packages, input.root, &image.files.packages, APP)?;
        if !packages.is_empty() {
            layers.push(self.layer(packages, "packages")?);
        }
        let mut project = Tree::default();
        files::add(&mut project, input.root, &image.files.own, APP)?;
        if let Some(text) = &image.manifest {
            let content = Content::Bytes(text.clone().into_bytes());
            project.file(&format!("{APP}/{MANIFEST_FILE}"), content, 0o644, 0);
        }
        // What functions send and store.
        project.folder(&format!("{APP}/.emu"), 0o700, USER);
        cache(&mut project, &image.code);
        layers.push(self.layer(project, "project")?);
        Ok(layers)
    }

    fn layer(&mut self, tree: Tree, what: &str) -> Result<Layer, PackError> {
        if let Some((_, layer)) = self.made.iter().find(|(made, _)| *made == tree) {
            return Ok(layer.clone());
        }
        let layer = tree.write(&self.blobs, what, self.input.compression, self.input.time_s)?;
        self.made.push((tree, layer.clone()));
        Ok(layer)
    }
}

/// Compiled code, where emu looks for it and only its own user may write: else it would not be trusted.
fn cache(tree: &mut Tree, code: &[PathBuf]) {
    tree.folder(CACHE, 0o700, USER);
    tree.folder(&format!("{CACHE}/code"), 0o700, USER);
    for path in code {
        if let Some(name) = path.file_name() {
            let to = format!("{CACHE}/code/{}", name.to_string_lossy());
            tree.file(&to, Content::Path(path.clone()), 0o600, USER);
        }
    }
}

fn one(
    input: &Input<'_>,
    image: &Image,
    layers: Vec<Layer>,
    base: Option<&Base>,
    layout: &Layout,
) -> Result<(Written, Value), PackError> {
    let architecture = input.program.architecture()?;
    let created = rfc3339(input.time_s);
    let config = layout.json(&config(image, &layers, base, architecture, &created))?;
    let mut refs: Vec<Value> = base.map(|base| base.layers.clone()).unwrap_or_default();
    let base_bytes = refs.iter().filter_map(|layer| layer["size"].as_u64()).sum();
    refs.extend(layers.iter().map(|layer| {
        json!({ "mediaType": layer.media_type, "digest": layer.digest, "size": layer.bytes,
                "annotations": { "org.opencontainers.image.title": layer.what } })
    }));
    let mut annotations = image.labels.clone();
    if let Some(base) = base {
        annotations.insert("org.opencontainers.image.base.digest".to_owned(), base.digest.clone());
    }
    let manifest = layout.json(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": { "mediaType": CONFIG, "digest": config.digest, "size": config.bytes },
        "layers": refs,
        "annotations": annotations,
    }))?;
    let reference = match input.images.len() {
        1 => input.tag.to_owned(),
        _ => format!("{}-{}", image.name, input.tag),
    };
    let name = super::export::dns_name(&image.name);
    let descriptor = descriptor(&manifest, architecture, &reference, &format!("{name}:{}", input.tag));
    let written = Written {
        name: image.name.clone(),
        reference,
        digest: manifest.digest,
        layers,
        base_bytes,
    };
    Ok((written, descriptor))
}

fn descriptor(manifest: &Blob, architecture: &str, reference: &str, name: &str) -> Value {
    json!({
        "mediaType": MANIFEST,
        "digest": manifest.digest,
        "size": manifest.bytes,
        "platform": { "architecture": architecture, "os": "linux" },
        "annotations": {
            "org.opencontainers.image.ref.name": reference,
            // What Docker and containerd call it when they load it.
            "io.containerd.image.name": format!("docker.io/library/{name}"),
        },
    })
}

fn config(image: &Image, layers: &[Layer], base: Option<&Base>, architecture: &str, created: &str) -> Value {
    let mut diff_ids: Vec<&str> = base
        .iter()
        .flat_map(|base| &base.diff_ids)
        .map(String::as_str)
        .collect();
    diff_ids.extend(layers.iter().map(|layer| layer.diff_id.as_str()));
    let mut history: Vec<Value> = base.map(|base| base.history.clone()).unwrap_or_default();
    history.extend(
        layers
            .iter()
            .map(|layer| json!({ "created": created, "created_by": format!("emu package: {}", layer.what) })),
    );
    json!({
        "created": created,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": format!("{USER}:{USER}"),
            "ExposedPorts": { format!("{PORT}/tcp"): {} },
            "Env": env(image, base),
            "Entrypoint": [format!("/{EMU}"), "serve"],
            "WorkingDir": format!("/{APP}"),
            "Volumes": { format!("/{APP}/.emu"): {} },
            "Labels": image.labels,
            "StopSignal": "SIGTERM",
            // Not in the specification of OCI; engines that know it from Docker take it.
            "Healthcheck": {
                "Test": ["CMD", format!("/{EMU}"), "status", "--quiet"],
                "Interval": 30_000_000_000u64,
                "Timeout": 5_000_000_000u64,
                "StartPeriod": 10_000_000_000u64,
                "Retries": 3,
            },
        },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": history,
    })
}

/// What the base sets, and on top of it what `emu serve` goes by.
fn env(image: &Image, base: Option<&Base>) -> Vec<String> {
    let mut own = vec![
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        ),
        ("HOME", "/home/emu".to_owned()),
        ("PORT", PORT.to_string()),
        ("EMU_HOST", "0.0.0.0".to_owned()),
        // Where its own commands find it, the health check's too, when `.emu` cannot be written.
        ("EMU_CONTROL_URL", "http://127.0.0.1:3681".to_owned()),
        ("EMU_CACHE_DIR", format!("/{CACHE}")),
        ("EMU_NO_BUILD", "1".to_owned()),
    ];
    if let Some(functions) = &image.functions {
        own.push(("EMU_FUNCTIONS", functions.join(",")));
    }
    if !image.passed.is_empty() {
        own.push(("EMU_PASS", image.passed.join(",")));
    }
    let is_own = |line: &&String| own.iter().any(|(name, _)| line.split('=').next() == Some(*name));
    let inherited = base.iter().flat_map(|base| &base.env).filter(|line| !is_own(line));
    let mut env: Vec<String> = inherited.cloned().collect();
    env.extend(own.into_iter().map(|(name, value)| format!("{name}={value}")));
    env
}

/// `2026-01-31T12:00:00Z`.
pub fn rfc3339(time_s: u64) -> String {
    let time = i64::try_from(time_s)
        .ok()
        .and_then(|s| chrono::DateTime::from_timestamp(s, 0));
    time.unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}
