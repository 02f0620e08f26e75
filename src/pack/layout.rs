//! An OCI image layout: blobs by digest and an index, in a folder or as a tar file. Written beside its place and moved there when
//! it is whole.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use oci_spec::image::{Arch, Descriptor, ImageConfiguration, ImageIndex, ImageManifest, Os};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::PackError;
use super::layer::{hex, keep};

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Tells a layout from other folders.
pub const LAYOUT_FILE: &str = "oci-layout";
/// What a layout is called while it is written.
pub const SCRATCH: &str = ".emu-package.";
const INDEX_FILE: &str = "index.json";

/// A blob as manifests refer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    pub digest: String,
    pub bytes: u64,
}

/// A layout in the making; without [`Layout::finish`] nothing is left of it.
pub struct Layout {
    folder: tempfile::TempDir,
    out: Option<PathBuf>,
}

impl Layout {
    /// `out`: a folder, or a file that ends in `.tar`; none: it is only to be pushed.
    ///
    /// # Errors
    /// When there is something else at `out`, or beside it nothing can be written.
    pub fn begin(out: Option<&Path>) -> Result<Layout, PackError> {
        let Some(out) = out else {
            let folder = tempfile::tempdir().map_err(PackError::at("a temporary folder"))?;
            return Layout { folder, out: None }.prepared();
        };
        let out = std::path::absolute(out).map_err(PackError::at(out))?;
        let is_free = match fs::read_dir(&out) {
            Ok(mut entries) => entries.next().is_none() || out.join(LAYOUT_FILE).is_file(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(_) => is_tar(&out) && is_free_tar(&out),
        };
        if !is_free {
            return Err(
                PackError::new(format!("{} holds something else than an image", out.display()))
                    .remedy("give another folder with --output, or a file that ends in .tar"),
            );
        }
        let parent = out.parent().unwrap_or(Path::new("/"));
        let unwritable = |error: std::io::Error| {
            let why = error.kind();
            PackError::new(format!("nothing can be written in {}: {why}", parent.display()))
                .remedy("give another place with --output")
        };
        fs::create_dir_all(parent).map_err(unwritable)?;
        let folder = tempfile::Builder::new().prefix(SCRATCH).tempdir_in(parent);
        let folder = folder.map_err(unwritable)?;
        Layout { folder, out: Some(out) }.prepared()
    }

    fn prepared(self) -> Result<Layout, PackError> {
        fs::create_dir_all(self.blobs()).map_err(PackError::at(self.blobs()))?;
        Ok(self)
    }

    /// Where it will be, absolute.
    pub fn out(&self) -> Option<&Path> {
        self.out.as_deref()
    }

    pub fn blobs(&self) -> PathBuf {
        self.folder.path().join("blobs/sha256")
    }

    /// # Errors
    /// When it cannot be written.
    pub fn blob(&self, bytes: &[u8]) -> Result<Blob, PackError> {
        let blobs = self.blobs();
        let name = hex(&Sha256::digest(bytes));
        let mut scratch = tempfile::NamedTempFile::new_in(&blobs).map_err(PackError::at(&blobs))?;
        scratch.write_all(bytes).map_err(PackError::at(&blobs))?;
        keep(scratch, &blobs.join(&name))?;
        Ok(Blob {
            digest: format!("sha256:{name}"),
            bytes: bytes.len() as u64,
        })
    }

    /// # Errors
    /// When it cannot be written.
    pub fn json(&self, value: &Value) -> Result<Blob, PackError> {
        self.blob(value.to_string().as_bytes())
    }

    /// Writes the index of these manifests and moves everything to its place.
    ///
    /// # Errors
    /// When it cannot be written there.
    pub fn finish(self, manifests: &[Value]) -> Result<Option<PathBuf>, PackError> {
        let Some(out) = self.out else { return Ok(None) };
        let folder = self.folder.path();
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
        let layout = json!({ "imageLayoutVersion": "1.0.0" });
        for (name, value) in [(INDEX_FILE, index), (LAYOUT_FILE, layout)] {
            let path = folder.join(name);
            fs::write(&path, value.to_string()).map_err(PackError::at(&path))?;
        }
        if is_tar(&out) {
            archive(folder, &out)?;
            return Ok(Some(out));
        }
        if out.exists() {
            fs::remove_dir_all(&out).map_err(PackError::at(&out))?;
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).map_err(PackError::at(folder))?;
        }
        fs::rename(folder, &out).map_err(PackError::at(&out))?;
        Ok(Some(out))
    }
}

fn is_tar(out: &Path) -> bool {
    out.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("tar"))
}

/// Whether this file is an image, whoever wrote it. Archives are told by the name of their first entry, with which they begin.
pub fn is_image_tar(path: &Path) -> bool {
    // Only these are opened: a pipe would wait for its writer.
    if !is_tar(path) || !path.is_file() {
        return false;
    }
    let mut first = [0; 16];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut first));
    let begins = [b"blobs/".as_slice(), LAYOUT_FILE.as_bytes(), INDEX_FILE.as_bytes()];
    read.is_ok() && begins.iter().any(|name| first.starts_with(name))
}

/// What was an image may be another; a file of something else is left alone.
fn is_free_tar(path: &Path) -> bool {
    is_image_tar(path) || fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
}

/// The layout as one file, with sorted entries and without times.
fn archive(folder: &Path, out: &Path) -> Result<(), PackError> {
    let parent = out.parent().unwrap_or(Path::new("/"));
    let scratch = tempfile::NamedTempFile::new_in(parent).map_err(PackError::at(parent))?;
    let blobs = folder.join("blobs/sha256");
    let mut names = vec![LAYOUT_FILE.to_owned(), INDEX_FILE.to_owned()];
    for entry in fs::read_dir(&blobs).map_err(PackError::at(&blobs))? {
        let entry = entry.map_err(PackError::at(&blobs))?;
        names.push(format!("blobs/sha256/{}", entry.file_name().to_string_lossy()));
    }
    names.sort();
    let mut tar = tar::Builder::new(scratch);
    for name in names {
        let path = folder.join(&name);
        let file = File::open(&path).map_err(PackError::at(&path))?;
        let mut header = tar::Header::new_gnu();
        header.set_size(file.metadata().map_err(PackError::at(&path))?.len());
        header.set_mode(0o644);
        header.set_mtime(0);
        tar.append_data(&mut header, &name, file)
            .map_err(PackError::at(&path))?;
    }
    keep(tar.into_inner().map_err(PackError::at(out))?, out)
}

/// An image to build upon.
#[derive(Clone, Debug)]
pub struct Base {
    pub digest: String,
    /// As the base's manifest has them.
    pub layers: Vec<Value>,
    pub diff_ids: Vec<String>,
    pub history: Vec<Value>,
    pub env: Vec<String>,
}

impl Base {
    /// Reads a layout's image for this architecture and copies its layers.
    ///
    /// # Errors
    /// When it is no layout, or has no such image.
    pub fn copy(from: &Path, architecture: &str, to: &Layout) -> Result<Base, PackError> {
        let unreadable = |path: &Path| {
            let path = path.display().to_string();
            move |error: oci_spec::OciSpecError| {
                PackError::new(format!("{path}: {error}"))
                    .remedy("--base takes an OCI image layout, a folder with index.json: skopeo copy docker://IMAGE oci:FOLDER makes one")
            }
        };
        let path = from.join(INDEX_FILE);
        let index = ImageIndex::from_file(&path).map_err(unreadable(&path))?;
        let wanted = Arch::from(architecture);
        let fits = |one: &&Descriptor| {
            let platform = one.platform().as_ref();
            platform.is_none_or(|platform| *platform.architecture() == wanted && *platform.os() == Os::Linux)
        };
        let found = index.manifests().iter().find(fits).ok_or_else(|| {
            PackError::new(format!("{} has no image for linux/{architecture}", from.display()))
                .remedy("give a base for this architecture")
        })?;
        let blob = |descriptor: &Descriptor| from.join("blobs/sha256").join(descriptor.digest().digest());
        let path = blob(found);
        let manifest = ImageManifest::from_file(&path).map_err(unreadable(&path))?;
        let path = blob(manifest.config());
        let config = ImageConfiguration::from_file(&path).map_err(unreadable(&path))?;
        let mut layers = Vec::new();
        for layer in manifest.layers() {
            let path = blob(layer);
            fs::copy(&path, to.blobs().join(layer.digest().digest())).map_err(PackError::at(&path))?;
            layers.push(json!({
                "mediaType": layer.media_type().to_string(),
                "digest": layer.digest().to_string(),
                "size": layer.size(),
            }));
        }
        let env = config.config().as_ref().and_then(|config| config.env().clone());
        let history = config
            .history()
            .iter()
            .flatten()
            .filter_map(|step| serde_json::to_value(step).ok());
        Ok(Base {
            digest: found.digest().to_string(),
            layers,
            diff_ids: config.rootfs().diff_ids().clone(),
            history: history.collect(),
            env: env.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_something_else_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("work");
        fs::create_dir(&out).expect("a folder");
        fs::write(out.join("thesis.tex"), "years").expect("a file");
        assert!(Layout::begin(Some(&out)).is_err());
        assert!(out.join("thesis.tex").exists());
        let tar = folder.path().join("thesis.tar");
        fs::write(&tar, "years, and years of it").expect("a file");
        assert!(Layout::begin(Some(&tar)).is_err() && !is_image_tar(&tar));
        fs::remove_file(&tar).expect("removed");
        for _ in 0..2 {
            let layout = Layout::begin(Some(&tar)).expect("a layout");
            layout.blob(b"one").expect("a blob");
            layout.finish(&[]).expect("written");
            assert!(is_image_tar(&tar));
        }
        fs::remove_file(&tar).expect("removed");
        let out = folder.path().join("image");
        let layout = Layout::begin(Some(&out)).expect("a layout");
        let blob = layout.blob(b"one").expect("a blob");
        layout.finish(&[]).expect("written");
        let name = blob.digest.strip_prefix("sha256:").expect("a digest");
        assert_eq!(fs::read(out.join("blobs/sha256").join(name)).expect("the blob"), b"one");
        // What was one may be another.
        Layout::begin(Some(&out))
            .expect("a layout")
            .finish(&[])
            .expect("written");
        assert!(!out.join("blobs/sha256").join(name).exists());
        assert_eq!(
            fs::read_dir(folder.path()).expect("a folder").count(),
            2,
            "nothing is left beside"
        );
    }

    #[test]
    #[cfg(unix)]
    fn a_pipe_is_not_opened() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["pipe", "pipe.tar"] {
            let pipe = folder.path().join(name);
            let made = std::process::Command::new("mkfifo").arg(&pipe).status();
            assert!(made.expect("mkfifo").success());
            assert!(!is_image_tar(&pipe));
        }
    }
}
