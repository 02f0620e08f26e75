//! Room kept back, so that deletes can be written when the disk is full.

use std::fs::File;
use std::path::PathBuf;

/// Enough for the log of a checkpoint and what it adds to the database.
const RESERVE_BYTES: u64 = 8 << 20;

/// A file that only takes up room.
pub(super) struct Reserve {
    path: Option<PathBuf>,
    held: bool,
}

impl Reserve {
    /// In `folder`; nothing for a database in memory.
    pub fn new(folder: Option<PathBuf>) -> Reserve {
        let path = folder.map(|folder| folder.join("reserve"));
        let held = path
            .as_ref()
            .is_some_and(|path| std::fs::metadata(path).is_ok_and(|metadata| metadata.len() == RESERVE_BYTES));
        Reserve { path, held }
    }

    /// Takes the room; whether it is there now.
    pub fn take(&mut self) -> bool {
        if self.held {
            return true;
        }
        let Some(path) = &self.path else { return true };
        self.held = fill(path).is_ok();
        if !self.held {
            // What was taken in part helps nobody.
            let _ = std::fs::remove_file(path);
        }
        self.held
    }

    /// Gives it back to whoever needs it; whether there was any.
    pub fn release(&mut self) -> bool {
        let held = std::mem::take(&mut self.held);
        if let Some(path) = self.path.as_ref().filter(|_| held) {
            let _ = std::fs::remove_file(path);
        }
        held
    }
}

#[cfg(target_os = "linux")]
fn fill(path: &std::path::Path) -> std::io::Result<()> {
    let file = File::create(path)?;
    let flags = rustix::fs::FallocateFlags::empty();
    match rustix::fs::fallocate(&file, flags, 0, RESERVE_BYTES) {
        Ok(()) => Ok(()),
        // Some file systems cannot take room ahead.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => write_zeros(&file),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn fill(path: &std::path::Path) -> std::io::Result<()> {
    write_zeros(&File::create(path)?)
}

fn write_zeros(mut file: &File) -> std::io::Result<()> {
    use std::io::Write as _;
    let zeros = [0; 64 << 10];
    for _ in 0..RESERVE_BYTES / zeros.len() as u64 {
        file.write_all(&zeros)?;
    }
    file.sync_all()
}
