//! What a Linux program needs beside itself, as its own headers say: the loader, and the shared libraries.

/// The parts of an ELF file that say what else has to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    pub machine: Machine,
    /// The loader: none in a static program and in a library.
    pub interpreter: Option<String>,
    /// Names of libraries, `libc.so.6`.
    pub needed: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    X86_64,
    Aarch64,
    Other(u16),
}

const MAGIC: &[u8] = b"\x7fELF";
/// 64 bits, little endian: all that emu is built for.
const CLASS_64: u8 = 2;
const LITTLE: u8 = 1;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;

struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    bytes: u64,
}

/// Reads the headers; `None`: these bytes are no 64-bit ELF file, or a damaged one.
pub fn read(file: &[u8]) -> Option<Elf> {
    if !file.starts_with(MAGIC) || file.get(4) != Some(&CLASS_64) || file.get(5) != Some(&LITTLE) {
        return None;
    }
    let machine = match u16_at(file, 18)? {
        62 => Machine::X86_64,
        183 => Machine::Aarch64,
        other => Machine::Other(other),
    };
    let headers = u64_at(file, 32)?;
    let (size, count) = (u64::from(u16_at(file, 54)?), u64::from(u16_at(file, 56)?));
    let mut segments = Vec::new();
    for n in 0..count {
        let at = headers.checked_add(n * size)?;
        segments.push(Segment {
            kind: u32_at(file, at)?,
            offset: u64_at(file, at.checked_add(8)?)?,
            address: u64_at(file, at.checked_add(16)?)?,
            bytes: u64_at(file, at.checked_add(32)?)?,
        });
    }
    let find = |kind| segments.iter().find(|segment| segment.kind == kind);
    let interpreter = match find(PT_INTERP) {
        Some(segment) => Some(text_at(file, segment.offset)?),
        None => None,
    };
    let needed = match find(PT_DYNAMIC) {
        Some(dynamic) => needed(file, dynamic, &segments)?,
        None => Vec::new(),
    };
    Some(Elf {
        machine,
        interpreter,
        needed,
    })
}

fn needed(file: &[u8], dynamic: &Segment, segments: &[Segment]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut strings = None;
    for n in 0..dynamic.bytes / 16 {
        let at = dynamic.offset.checked_add(n * 16)?;
        match (u64_at(file, at)?, u64_at(file, at.checked_add(8)?)?) {
            (0, _) => break,
            (DT_NEEDED, name) => names.push(name),
            (DT_STRTAB, address) => strings = Some(address),
            _ => {}
        }
    }
    if names.is_empty() {
        return Some(Vec::new());
    }
    let strings = strings?;
    // The table's place is said as an address in memory.
    let holds = |s: &&Segment| s.kind == PT_LOAD && (s.address..s.address.saturating_add(s.bytes)).contains(&strings);
    let segment = segments.iter().find(holds)?;
    let table = segment.offset.checked_add(strings - segment.address)?;
    names
        .into_iter()
        .map(|name| text_at(file, table.checked_add(name)?))
        .collect()
}

fn bytes_at<const N: usize>(file: &[u8], at: u64) -> Option<[u8; N]> {
    let at = usize::try_from(at).ok()?;
    file.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u16_at(file: &[u8], at: u64) -> Option<u16> {
    bytes_at(file, at).map(u16::from_le_bytes)
}

fn u32_at(file: &[u8], at: u64) -> Option<u32> {
    bytes_at(file, at).map(u32::from_le_bytes)
}

fn u64_at(file: &[u8], at: u64) -> Option<u64> {
    bytes_at(file, at).map(u64::from_le_bytes)
}

/// Up to the zero byte.
fn text_at(file: &[u8], at: u64) -> Option<String> {
    let rest = file.get(usize::try_from(at).ok()?..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    String::from_utf8(rest.get(..end)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_program_is_none() {
        assert_eq!(read(b""), None);
        assert_eq!(read(b"\0asm\x01\0\0\0"), None);
        assert_eq!(read(b"\x7fELF\x02\x01"), None);
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn this_very_program() {
        let file = std::fs::read(std::env::current_exe().expect("a program")).expect("readable");
        let elf = read(&file).expect("a program");
        assert!(elf.interpreter.expect("a loader").contains("ld-linux"));
        assert!(elf.needed.iter().any(|name| name == "libc.so.6"), "{:?}", elf.needed);
        // However it is cut off, nothing breaks.
        for length in 0..4_096 {
            let _ = read(&file[..length]);
        }
    }
}
