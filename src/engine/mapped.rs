//! What the kernel tells of this process's memory images. `scripts/js-runtime` uses this file too.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Error, Result};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

const PAGE_BYTES: u64 = 4096;

/// Of the file behind an image, as wasmtime calls it.
const NAME: &str = "/memfd:wasm-memory-image";

/// The files behind the images, by their inodes.
///
/// # Errors
/// Without `/proc`.
pub fn images() -> Result<BTreeSet<u64>> {
    let mut inodes = BTreeSet::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let path = entry?.path();
        // Other threads close files meanwhile.
        let is_image = std::fs::read_link(&path).is_ok_and(|target| target.to_string_lossy().starts_with(NAME));
        if is_image && let Ok(file) = std::fs::metadata(&path) {
            inodes.insert(file.ino());
        }
    }
    Ok(inodes)
}

/// Of a file, as [`written`] knows it.
pub fn inode(path: &Path) -> Option<u64> {
    std::fs::metadata(path).map(|file| file.ino()).ok()
}

/// The pages, by number, that were written in any memory which began as one of these images.
///
/// # Errors
/// Without `/proc`, or when it says what it never said.
pub fn written(images: &BTreeSet<u64>) -> Result<BTreeSet<u64>> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let pagemap = File::open("/proc/self/pagemap")?;
    let mut pages = BTreeSet::new();
    for (start, end) in memories(&maps, images)? {
        let count = usize::try_from((end - start) / PAGE_BYTES).map_err(Error::other)?;
        let mut entries = vec![0; count * 8];
        pagemap.read_exact_at(&mut entries, start / PAGE_BYTES * 8)?;
        for (page, entry) in (0..).zip(entries.as_chunks::<8>().0) {
            let entry = u64::from_ne_bytes(*entry);
            // Present, and neither of a file nor shared.
            if entry >> 63 & 1 == 1 && entry >> 61 & 1 == 0 {
                pages.insert(page);
            }
        }
    }
    Ok(pages)
}

/// Where the memories are: neighbours that can be written, one of them mapped from an image.
fn memories(maps: &str, images: &BTreeSet<u64>) -> Result<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    let mut run: Option<(u64, u64, bool)> = None;
    for line in maps.lines() {
        let odd = || Error::other(format!("a mapping that is none: {line}"));
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [range, rights, _, _, inode, ..] = fields[..] else {
            return Err(odd());
        };
        let (start, end) = range.split_once('-').ok_or_else(odd)?;
        let address = |text| u64::from_str_radix(text, 16).map_err(|_| odd());
        let (start, end) = (address(start)?, address(end)?);
        let is_image = inode.parse().is_ok_and(|inode| images.contains(&inode));
        let goes_on = rights.starts_with("rw") && run.is_some_and(|(_, before, _)| before == start);
        run = match run {
            Some((from, _, image)) if goes_on => Some((from, end, image || is_image)),
            ended => {
                found.extend(ended.filter(|(_, _, image)| *image));
                rights.starts_with("rw").then_some((start, end, is_image))
            }
        };
    }
    found.extend(run.filter(|(_, _, image)| *image));
    Ok(found.into_iter().map(|(start, end, _)| (start, end)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_is_the_run_of_writable_neighbours_around_its_image() {
        let maps = "\
1000-2000 rw-p 00000000 00:00 0
2000-3000 ---p 00000000 00:00 0
3000-4000 rw-p 00000000 00:00 0
4000-8000 rw-p 00000000 00:01 77         /memfd:wasm-memory-image (deleted)
8000-9000 rw-p 00000000 00:00 0
9000-a000 ---p 00000000 00:00 0
b000-c000 rw-p 00000000 00:01 78         /memfd:wasm-memory-image (deleted)
d000-e000 rw-p 00000000 00:01 77         /memfd:wasm-memory-image (deleted)
";
        let of = |inode| memories(maps, &BTreeSet::from([inode])).unwrap();
        assert_eq!(of(77), [(0x3000, 0x9000), (0xd000, 0xe000)]);
        assert_eq!(of(78), [(0xb000, 0xc000)]);
        assert_eq!(of(79), []);
        assert!(memories("nonsense", &BTreeSet::new()).is_err());
    }
}
