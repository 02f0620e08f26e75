//! `.emu/run.json`: how commands find a running emulator. Somebody may remove it while it runs; it is written again.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::api;

pub const NAME: &str = "run.json";
/// How often it is looked whether it is there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub struct RunFile {
    path: PathBuf,
    run: api::RunFile,
    /// The emulator ends.
    over: Mutex<bool>,
}

impl RunFile {
    pub fn new(path: PathBuf, run: api::RunFile) -> RunFile {
        let over = Mutex::new(false);
        RunFile { path, run, over }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// # Errors
    /// When the folder cannot be made or written.
    pub fn write(&self) -> anyhow::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, &self.run)?;
        file.persist(&self.path)?;
        Ok(())
    }

    /// Writes it again whenever it is gone, while the project is there. One of another emulator is left alone.
    pub async fn keep(&self) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            self.look();
        }
    }

    fn look(&self) {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let project = self.path.parent().and_then(Path::parent);
        if *over || self.path.exists() || !project.is_some_and(Path::is_dir) {
            return;
        }
        if let Err(error) = self.write() {
            tracing::warn!("{} cannot be written: {error}", self.path.display());
        }
    }

    /// Removes it for good, if it is of this process.
    pub fn remove(&self) {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        *over = true;
        let read = std::fs::read(&self.path).ok();
        let run = read.and_then(|text| serde_json::from_slice::<api::RunFile>(&text).ok());
        if run.is_some_and(|run| run.pid == self.run.pid) {
            // Gone already: nothing to do about it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_until_the_end_and_not_without_the_project() {
        let project = tempfile::tempdir().expect("a folder");
        let root = project.path().join("shop");
        let folder = root.join(".emu");
        std::fs::create_dir_all(&folder).expect("a folder");
        let run = api::RunFile {
            functions_url: "http://127.0.0.1:1".to_owned(),
            control_url: "http://127.0.0.1:2".to_owned(),
            pid: 7,
            token: None,
        };
        let file = RunFile::new(folder.join(NAME), run);
        file.write().expect("written");
        let after_a_look = || {
            file.look();
            file.path().exists()
        };
        std::fs::remove_dir_all(&folder).expect("removed");
        assert!(after_a_look());
        std::fs::remove_dir_all(&root).expect("removed");
        assert!(!after_a_look());
        assert!(!root.exists(), "a project is not made of nothing");
        std::fs::create_dir(&root).expect("a folder");
        assert!(after_a_look());
        file.remove();
        assert!(!after_a_look());
    }
}
