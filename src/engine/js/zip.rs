//! CompressionStream and DecompressionStream: deflate, piece by piece, by handles.

use std::collections::BTreeMap;

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};
use serde::Deserialize;

/// Output of one call. What a small input grows into comes call by call, each into memory that the guest has.
const OUTPUT_BYTES: usize = 64 << 10;
/// Input that one call looks at: below a millisecond of work.
const INPUT_BYTES_MAX: usize = 32 << 10;
/// Streams of one invocation at a time; each holds some 300 KB.
const OPEN_MAX: usize = 32;
/// A gzip header with its name and comment; longer ones are nonsense.
const HEADER_BYTES_MAX: usize = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    Gzip,
    Deflate,
    DeflateRaw,
}

enum Zip {
    Packing(Packing),
    Unpacking(Unpacking),
}

/// All streams of one invocation.
#[derive(Default)]
pub struct Zips {
    open: BTreeMap<u32, Zip>,
    last: u32,
}

/// What came of a piece.
pub struct Step {
    pub output: Vec<u8>,
    /// Bytes of the input that were used.
    pub used: usize,
    /// The stream has ended and all of it is out.
    pub over: bool,
}

impl Zips {
    /// Begins an invocation: what is open is closed, and its handles are nobody else's.
    pub fn renew(&mut self) {
        self.open.clear();
    }

    /// # Errors
    /// When too many are open.
    pub fn open(&mut self, format: Format, unpack: bool) -> Result<u32, String> {
        if self.open.len() >= OPEN_MAX {
            return Err(format!(
                "more than {OPEN_MAX} compression streams are open at once; end or cancel some"
            ));
        }
        self.last += 1;
        let zip = if unpack {
            Zip::Unpacking(Unpacking::new(format))
        } else {
            Zip::Packing(Packing::new(format))
        };
        self.open.insert(self.last, zip);
        Ok(self.last)
    }

    /// Takes some of the input; with `end` nothing follows it.
    ///
    /// # Errors
    /// `Name: message` when the data is not in this format. The stream is then closed.
    pub fn step(&mut self, handle: u32, input: &[u8], end: bool) -> Result<Step, String> {
        let zip = self.open.get_mut(&handle).ok_or("TypeError: the stream is closed")?;
        let piece = &input[..input.len().min(INPUT_BYTES_MAX)];
        let end = end && piece.len() == input.len();
        let step = match zip {
            Zip::Packing(packing) => packing.step(piece, end),
            Zip::Unpacking(unpacking) => unpacking.step(piece, end),
        };
        if !matches!(step, Ok(Step { over: false, .. })) {
            self.open.remove(&handle);
        }
        step
    }

    pub fn close(&mut self, handle: u32) {
        self.open.remove(&handle);
    }
}

struct Packing {
    deflate: Compress,
    /// For gzip: the sum of what went in.
    sum: Option<Crc>,
    begun: bool,
}

impl Packing {
    fn new(format: Format) -> Packing {
        Packing {
            deflate: Compress::new(Compression::default(), format == Format::Deflate),
            sum: (format == Format::Gzip).then(Crc::new),
            begun: false,
        }
    }

    fn step(&mut self, input: &[u8], end: bool) -> Result<Step, String> {
        let mut output = Vec::with_capacity(OUTPUT_BYTES);
        if !self.begun && self.sum.is_some() {
            // Deflate, no flags, no time, from a system that does not matter.
            output.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
        }
        self.begun = true;
        let before = self.deflate.total_in();
        let flush = if end {
            FlushCompress::Finish
        } else {
            FlushCompress::None
        };
        let status = self.deflate.compress_vec(input, &mut output, flush);
        let status = status.map_err(|error| format!("TypeError: {error}"))?;
        let used = (self.deflate.total_in() - before) as usize;
        if let Some(sum) = &mut self.sum {
            sum.update(&input[..used]);
        }
        let over = status == Status::StreamEnd;
        if let (true, Some(sum)) = (over, &self.sum) {
            output.extend_from_slice(&sum.sum().to_le_bytes());
            output.extend_from_slice(&sum.amount().to_le_bytes());
        }
        Ok(Step { output, used, over })
    }
}

struct Unpacking {
    inflate: Decompress,
    /// For gzip: the sum of what came out.
    sum: Option<Crc>,
    /// Bytes of a header or trailer that is not complete yet.
    held: Vec<u8>,
    part: Part,
}

#[derive(PartialEq, Eq)]
enum Part {
    Header,
    Data,
    Trailer,
    Over,
}

impl Unpacking {
    fn new(format: Format) -> Unpacking {
        let gzip = format == Format::Gzip;
        Unpacking {
            inflate: Decompress::new(format == Format::Deflate),
            sum: gzip.then(Crc::new),
            held: Vec::new(),
            part: if gzip { Part::Header } else { Part::Data },
        }
    }

    fn step(&mut self, input: &[u8], end: bool) -> Result<Step, String> {
        let mut step = Step {
            output: Vec::new(),
            used: 0,
            over: false,
        };
        if self.part == Part::Header {
            step.used = self.header(input)?;
        }
        if self.part == Part::Data {
            self.data(&input[step.used..], &mut step)?;
        }
        if self.part == Part::Trailer {
            step.used += self.trailer(&input[step.used..])?;
        }
        let left = step.used < input.len();
        if self.part == Part::Over && left {
            return Err("TypeError: there is more after the end of the compressed data".to_owned());
        }
        // Output that filled its room may go on without further input.
        let stuck = !left && step.output.len() < OUTPUT_BYTES;
        if end && stuck && self.part != Part::Over {
            return Err("TypeError: the compressed data ends before its end".to_owned());
        }
        step.over = end && !left && self.part == Part::Over;
        Ok(step)
    }

    fn data(&mut self, input: &[u8], step: &mut Step) -> Result<(), String> {
        let before = self.inflate.total_in();
        step.output.reserve_exact(OUTPUT_BYTES);
        let status = self
            .inflate
            .decompress_vec(input, &mut step.output, FlushDecompress::None);
        let status = status.map_err(|_| "TypeError: the data is not compressed in this format".to_owned())?;
        step.used += (self.inflate.total_in() - before) as usize;
        if let Some(sum) = &mut self.sum {
            sum.update(&step.output);
        }
        if status == Status::StreamEnd {
            self.part = if self.sum.is_some() { Part::Trailer } else { Part::Over };
        }
        Ok(())
    }

    /// Takes the gzip header; answers with how much of the input belonged to it.
    fn header(&mut self, input: &[u8]) -> Result<usize, String> {
        let before = self.held.len();
        self.held.extend_from_slice(input);
        let Some(length) = header_length(&self.held)? else {
            if self.held.len() > HEADER_BYTES_MAX {
                return Err("TypeError: the gzip header does not end".to_owned());
            }
            return Ok(input.len());
        };
        self.held.clear();
        self.part = Part::Data;
        Ok(length - before)
    }

    fn trailer(&mut self, input: &[u8]) -> Result<usize, String> {
        let used = input.len().min(8 - self.held.len());
        self.held.extend_from_slice(&input[..used]);
        if let (Ok(trailer), Some(sum)) = (<[u8; 8]>::try_from(self.held.as_slice()), &self.sum) {
            let expected = [sum.sum().to_le_bytes(), sum.amount().to_le_bytes()].concat();
            if trailer[..] != expected[..] {
                return Err("TypeError: the checksum of the compressed data is wrong".to_owned());
            }
            self.part = Part::Over;
        }
        Ok(used)
    }
}

/// The length of a gzip header (RFC 1952, 2.3); `None` when it is not complete.
fn header_length(bytes: &[u8]) -> Result<Option<usize>, String> {
    let magic = [0x1f, 0x8b, 8];
    let given = bytes.len().min(magic.len());
    if bytes[..given] != magic[..given] {
        return Err("TypeError: the data is not gzip".to_owned());
    }
    let Some(flags) = bytes.get(3) else { return Ok(None) };
    let mut at = 10;
    if flags & 4 != 0 {
        let (Some(low), Some(high)) = (bytes.get(at), bytes.get(at + 1)) else {
            return Ok(None);
        };
        at += 2 + usize::from(u16::from_le_bytes([*low, *high]));
    }
    // Name and comment end with a zero.
    for flag in [8, 16] {
        if flags & flag != 0 {
            let Some(end) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0)) else {
                return Ok(None);
            };
            at += end + 1;
        }
    }
    if flags & 2 != 0 {
        at += 2;
    }
    Ok((bytes.len() >= at).then_some(at))
}
