//! Archives for Lambda: a handler's files and packages, one archive a function.

use std::io::Cursor;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use tokio::runtime::Runtime;

use super::super::bundle;
use super::super::failure::Failure;
use super::super::probe::not_built;
use super::{Args, Report, Shown, left_out, shorter};
use crate::live;
use crate::pack::archive;
use crate::pack::layer::hex;
use crate::project::Project;

/// What Lambda takes of an unpacked archive, and of one that is uploaded directly.
const DIRECT_BYTES_MAX: usize = 50 << 20;

pub fn make(args: &Args, project: &Project, runtime: &Runtime) -> Result<Report, Failure> {
    let output = args.output.as_deref().unwrap_or(Path::new("."));
    let is_file = output
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("zip"));
    if is_file && project.functions.len() > 1 {
        return Err(Failure::usage("one file cannot hold several functions")
            .remedy("name one function, or give a folder: each function has an archive there"));
    }
    let engine = live::engine().map_err(|error| not_built(&project.name, &error))?;
    let mut report = Report::default();
    for function in project.functions.values() {
        let name = &function.name;
        let plain = runtime.block_on(live::plain_files(&engine, project, function));
        let plain = match plain.map_err(|error| not_built(name, &error))? {
            Ok(plain) => plain,
            Err(why) => {
                report.warnings.push(left_out(args, project, function, &why)?);
                continue;
            }
        };
        let bound = function.bound();
        if !bound.is_empty() {
            let bound = bound.join(", ");
            report.warnings.push(format!(
                "{name}: {bound} is emu's: call the provider's own service by its SDK"
            ));
        }
        let bytes = archive::write(Cursor::new(Vec::new()), &project.root, &plain.files, &plain.packages)?.into_inner();
        if bytes.len() > DIRECT_BYTES_MAX {
            report
                .warnings
                .push(format!("{name}: more than 50 MB, which Lambda takes from S3 only"));
        }
        let file = match is_file {
            true => output.to_owned(),
            false => output.join(format!("{name}.zip")),
        };
        write(&file, &bytes)?;
        report.packages.push(Shown {
            name: name.clone(),
            digest: format!("sha256:{}", hex(&Sha256::digest(&bytes))),
            bytes: bytes.len() as u64,
            file: Some(shorter(&file)),
            handler: Some(format!("{}.handler", plain.entry)),
            ..Shown::default()
        });
    }
    match report.packages.is_empty() {
        true => Err(Failure::new(report.warnings.join("\n"))),
        false => Ok(report),
    }
}

/// With the folder that it goes to.
fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::new(format!("{} cannot be made: {error}", folder.display())))?;
    }
    bundle::write(file, bytes)
}
