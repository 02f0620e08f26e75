//! A tree of files as a layer: a tar file with sorted entries and fixed times, so that the same tree has the same digest.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::PackError;

/// Files by their path, without a slash in front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<String, Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    what: What,
    mode: u32,
    /// User and group.
    owner: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Folder,
    File(Content),
    Link(String),
}

/// Where a file's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Bytes(Vec<u8>),
    Path(PathBuf),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    #[default]
    Gzip,
    None,
}

/// A layer among the blobs of a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// What it is for, in words.
    pub what: String,
    /// `sha256:...` of the blob, and of what is in it uncompressed.
    pub digest: String,
    pub diff_id: String,
    pub bytes: u64,
    pub media_type: String,
}

impl Tree {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn folder(&mut self, path: &str, mode: u32, owner: u32) {
        self.put(path, What::Folder, mode, owner);
    }

    pub fn file(&mut self, path: &str, content: Content, mode: u32, owner: u32) {
        self.put(path, What::File(content), mode, owner);
    }

    pub fn link(&mut self, path: &str, target: &str) {
        self.put(path, What::Link(target.to_owned()), 0o777, 0);
    }

    /// With the folders above it, which are root's unless somebody said otherwise.
    fn put(&mut self, path: &str, what: What, mode: u32, owner: u32) {
        let path = path.trim_start_matches('/').to_owned();
        for (at, _) in path.match_indices('/') {
            let folder = Entry {
                what: What::Folder,
                mode: 0o755,
                owner: 0,
            };
            self.0.entry(path[..at].to_owned()).or_insert(folder);
        }
        self.0.insert(path, Entry { what, mode, owner });
    }

    /// Writes it into a folder of blobs, under its digest.
    ///
    /// # Errors
    /// When a file cannot be read, or the blob not be written.
    pub fn write(&self, blobs: &Path, what: &str, compression: Compression, time_s: u64) -> Result<Layer, PackError> {
        let scratch = tempfile::NamedTempFile::new_in(blobs).map_err(PackError::at(blobs))?;
        let out = Hashed::new(BufWriter::with_capacity(1 << 20, scratch));
        let (out, diff_id) = match compression {
            Compression::None => {
                let tar = self.tar(Hashed::new(out), time_s)?;
                (tar.out, tar.sha.finalize())
            }
            Compression::Gzip => {
                let tar = self.tar(Hashed::new(GzEncoder::new(out, Level::default())), time_s)?;
                (tar.out.finish().map_err(PackError::at(blobs))?, tar.sha.finalize())
            }
        };
        let (sha, bytes) = (out.sha.finalize(), out.bytes);
        let scratch = out
            .out
            .into_inner()
            .map_err(|error| PackError::at(blobs)(error.into_error()))?;
        let name = hex(&sha);
        keep(scratch, &blobs.join(&name))?;
        let tar = "application/vnd.oci.image.layer.v1.tar";
        Ok(Layer {
            what: what.to_owned(),
            digest: format!("sha256:{name}"),
            diff_id: format!("sha256:{}", hex(&diff_id)),
            bytes,
            media_type: match compression {
                Compression::None => tar.to_owned(),
                Compression::Gzip => format!("{tar}+gzip"),
            },
        })
    }

    fn tar<W: Write>(&self, out: W, time_s: u64) -> Result<W, PackError> {
        let mut tar = tar::Builder::new(out);
        for (path, entry) in &self.0 {
            let at = || PathBuf::from(path);
            let mut header = tar::Header::new_gnu();
            header.set_mode(entry.mode);
            header.set_uid(entry.owner.into());
            header.set_gid(entry.owner.into());
            header.set_mtime(time_s);
            header.set_size(0);
            match &entry.what {
                What::Folder => {
                    header.set_entry_type(tar::EntryType::Directory);
                    tar.append_data(&mut header, format!("{path}/"), io::empty())
                }
                What::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    tar.append_link(&mut header, path, target)
                }
                What::File(Content::Bytes(bytes)) => {
                    header.set_size(bytes.len() as u64);
                    tar.append_data(&mut header, path, bytes.as_slice())
                }
                What::File(Content::Path(file)) => {
                    let opened = File::open(file).map_err(PackError::at(file))?;
                    let length = opened.metadata().map_err(PackError::at(file))?.len();
                    header.set_size(length);
                    tar.append_data(&mut header, path, Exactly::new(opened, length))
                }
            }
            .map_err(PackError::at(at()))?;
        }
        tar.into_inner().map_err(PackError::at("the layer"))
    }
}

/// Moves a finished blob to its name. That it is there already is as good.
pub fn keep(scratch: tempfile::NamedTempFile, path: &Path) -> Result<(), PackError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::Permissions::from_mode(0o644);
        scratch.as_file().set_permissions(mode).map_err(PackError::at(path))?;
    }
    scratch
        .persist(path)
        .map_err(|error| PackError::at(path)(error.error))?;
    Ok(())
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file that changes while it is read would break the archive: exactly so many bytes, or an error.
struct Exactly {
    file: File,
    left: u64,
}

impl Exactly {
    fn new(file: File, left: u64) -> Exactly {
        Exactly { file, left }
    }
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..room])?;
        if read == 0 {
            return Err(io::Error::other("the file got shorter while it was read: try again"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Counts and hashes what goes through.
struct Hashed<W> {
    out: W,
    sha: Sha256,
    bytes: u64,
}

impl<W> Hashed<W> {
    fn new(out: W) -> Hashed<W> {
        Hashed {
            out,
            sha: Sha256::new(),
            bytes: 0,
        }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sha.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(tree: &Tree, compression: Compression) -> (Layer, Vec<u8>) {
        let folder = tempfile::tempdir().expect("a folder");
        let layer = tree.write(folder.path(), "test", compression, 0).expect("a layer");
        let name = layer.digest.strip_prefix("sha256:").expect("a digest");
        let bytes = std::fs::read(folder.path().join(name)).expect("the blob");
        (layer, bytes)
    }

    #[test]
    fn the_same_tree_has_the_same_digest() {
        let file = |text: &str| Content::Bytes(text.as_bytes().to_vec());
        let mut one = Tree::default();
        one.file("/b/x", file("1"), 0o644, 0);
        one.folder("a", 0o700, 7);
        one.link("b/y", "x");
        let mut two = Tree::default();
        two.link("b/y", "x");
        two.folder("a", 0o700, 7);
        two.file("b/x", file("1"), 0o644, 0);
        let (first, bytes) = layer(&one, Compression::Gzip);
        assert_eq!(first, layer(&two, Compression::Gzip).0);
        assert_eq!(first.bytes, bytes.len() as u64);
        let (plain, bytes) = layer(&one, Compression::None);
        assert_eq!((plain.diff_id.clone(), plain.digest), (first.diff_id, plain.diff_id));
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().expect("a tar file").map(|entry| {
            let entry = entry.expect("an entry");
            let header = entry.header();
            let path = entry.path().expect("a path").to_string_lossy().into_owned();
            (
                path,
                header.mode().expect("a mode"),
                header.uid().expect("an owner"),
                header.mtime().expect("a time"),
            )
        });
        let entries: Vec<_> = entries.collect();
        let expect = [("a/", 0o700, 7), ("b/", 0o755, 0), ("b/x", 0o644, 0), ("b/y", 0o777, 0)];
        assert_eq!(
            entries,
            expect.map(|(path, mode, owner)| (path.to_owned(), mode, owner, 0))
        );
    }
}
