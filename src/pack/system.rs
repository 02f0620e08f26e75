//! The least system that emu runs on: its loader and shared libraries, a user that is nobody, a folder for temporary files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::PackError;
use super::elf::{self, Elf, Machine};
use super::layer::{Content, Tree};

/// The user that runs emu in an image, as distroless images number it.
pub const USER: u32 = 65_532;

/// Where loaders look by themselves, with the folders of distributions that have several architectures side by side.
const LIBRARIES: [&str; 8] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

/// A program that goes into an image.
pub struct Program {
    pub path: PathBuf,
    elf: Elf,
}

impl Program {
    /// # Errors
    /// When this file is no Linux program.
    pub fn read(path: &Path) -> Result<Program, PackError> {
        let file = std::fs::read(path).map_err(PackError::at(path))?;
        let elf = elf::read(&file).ok_or_else(|| {
            PackError::new(format!("{} is no Linux program, which images need", path.display()))
                .remedy("package on Linux, for instance in CI")
        })?;
        Ok(Program {
            path: path.to_owned(),
            elf,
        })
    }

    /// As images name it.
    ///
    /// # Errors
    /// When containers have no name for it.
    pub fn architecture(&self) -> Result<&'static str, PackError> {
        match self.elf.machine {
            Machine::X86_64 => Ok("amd64"),
            Machine::Aarch64 => Ok("arm64"),
            Machine::Other(number) => Err(PackError::new(format!("emu is built for machine {number} of ELF"))
                .remedy("images are made for x86-64 and ARM64")),
        }
    }

    /// The base of an image of this program.
    ///
    /// # Errors
    /// When a library is not where loaders look.
    pub fn base(&self) -> Result<Tree, PackError> {
        let mut tree = Tree::default();
        let mut todo = self.elf.needed.clone();
        let mut seen = BTreeSet::new();
        if let Some(loader) = &self.elf.interpreter {
            tree.file(loader, Content::Path(PathBuf::from(loader)), 0o755, 0);
            // Libraries need it by its name, and have it then.
            seen.extend(loader.rsplit('/').next().map(str::to_owned));
        }
        while let Some(name) = todo.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let path = find(&name, self.elf.machine)?;
            let file = std::fs::read(&path).map_err(PackError::at(&path))?;
            todo.extend(elf::read(&file).map(|elf| elf.needed).unwrap_or_default());
            tree.file(&path.to_string_lossy(), Content::Path(path.clone()), 0o755, 0);
        }
        let text = |text: String| Content::Bytes(text.into_bytes());
        let passwd = format!("root:x:0:0:root:/root:/sbin/nologin\nemu:x:{USER}:{USER}:emu:/home/emu:/sbin/nologin\n");
        tree.file("etc/passwd", text(passwd), 0o644, 0);
        tree.file("etc/group", text(format!("root:x:0:\nemu:x:{USER}:\n")), 0o644, 0);
        tree.file("etc/nsswitch.conf", text("hosts: files dns\n".to_owned()), 0o644, 0);
        tree.folder("home/emu", 0o755, USER);
        tree.folder("tmp", 0o1777, 0);
        Ok(tree)
    }
}

fn find(name: &str, machine: Machine) -> Result<PathBuf, PackError> {
    let candidates = LIBRARIES.iter().map(|folder| Path::new(folder).join(name));
    let fits = |path: &PathBuf| {
        let file = std::fs::read(path).ok();
        file.and_then(|file| elf::read(&file))
            .is_some_and(|elf| elf.machine == machine)
    };
    candidates.into_iter().find(fits).ok_or_else(|| {
        PackError::new(format!(
            "the library {name}, which emu needs, is in none of {}",
            LIBRARIES.join(", ")
        ))
        .remedy("give a base that has it with --base")
    })
}
