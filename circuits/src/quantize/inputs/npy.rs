//! The `.npy` format: a magic number, a header that is a Python literal with three keys, then the elements.

use std::io::Read;

use half::f16;
use ndarray::{ArrayD, IxDyn, ShapeBuilder};

use super::array::{Array, Refused};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header: names of fields could be longer, shapes cannot.
const MAX_HEADER: usize = 1 << 16;
/// Most axes, as NumPy has it.
const MAX_AXES: usize = 64;
/// Bytes of an element's type that a message shows.
const MAX_DESCR: usize = 20;
/// Bytes that are read and converted at a time; a multiple of every element's size.
const CHUNK: usize = 1 << 16;

/// Reads an array of `bytes` bytes, header included, with at most `limit` values.
pub(super) fn read(mut source: impl Read, bytes: u64, limit: u64) -> Result<Array, Refused> {
    let cut = |_| "it ends within the header; the file is cut off".to_owned();
    let mut start = [0; 8];
    source.read_exact(&mut start).map_err(cut)?;
    if &start[..6] != MAGIC {
        let reason = "it does not begin as a NumPy array; write it with numpy.save";
        return Err(Refused::Format(reason.into()));
    }
    let mut length = [0; 4];
    let width = match start[6] {
        1 => 2,
        2 | 3 => 4,
        version => {
            let reason = format!("version {version} of the format is unknown (1, 2, 3)");
            return Err(Refused::Format(reason));
        }
    };
    source.read_exact(&mut length[..width]).map_err(cut)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_HEADER {
        let reason = format!("a header of {length} bytes, more than {MAX_HEADER}; write it anew");
        return Err(Refused::Format(reason));
    }
    let mut header = vec![0; length];
    source.read_exact(&mut header).map_err(cut)?;
    let header = Header::parse(&header)?;
    let left = bytes.saturating_sub((8 + width + length) as u64);
    header.elements(source, left, limit)
}

/// What a header says.
#[derive(Debug)]
struct Header {
    element: Element,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    fn parse(text: &[u8]) -> Result<Self, String> {
        let mut text = Text { left: text };
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        text.expect(b'{')?;
        while !text.take(b'}') {
            let key = text.string()?;
            text.expect(b':')?;
            let first = match key {
                b"descr" => descr.replace(Element::parse(text.string()?)?).is_none(),
                b"fortran_order" => fortran.replace(text.boolean()?).is_none(),
                b"shape" => shape.replace(text.shape()?).is_none(),
                _ => return Err("its header has a key that NumPy does not write".into()),
            };
            if !first {
                return Err("its header has a key twice".into());
            }
            if !text.take(b',') {
                text.expect(b'}')?;
                break;
            }
        }
        match (descr, fortran, shape) {
            (Some(element), Some(fortran), Some(shape)) if text.is_empty() => Ok(Header {
                element,
                fortran,
                shape,
            }),
            _ => Err("its header is not that of a NumPy array; write it with numpy.save".into()),
        }
    }

    /// Reads the elements, of which there must be exactly as many as the shape says.
    fn elements(self, mut source: impl Read, left: u64, limit: u64) -> Result<Array, Refused> {
        let size = self.element.size() as u64;
        let product = |n: u64, &d: &usize| n.checked_mul(d as u64);
        let values = self.shape.iter().try_fold(1u64, product);
        let values = values.filter(|n| n.checked_mul(size) == Some(left));
        let Some(values) = values else {
            let reason = format!(
                "its header says shape {:?} of {size} bytes an element, and {left} bytes follow; the file is damaged",
                self.shape
            );
            return Err(Refused::Format(reason));
        };
        if values > limit {
            return Err(Refused::TooLarge { values, limit });
        }
        let mut out = Vec::new();
        let mut chunk = vec![0; CHUNK];
        let mut left = left;
        while left > 0 {
            let part = &mut chunk[..left.min(CHUNK as u64) as usize];
            source
                .read_exact(part)
                .map_err(|e| format!("its elements cannot be read ({e}); the file is damaged"))?;
            self.element.convert(part, &mut out);
            left -= part.len() as u64;
        }
        // A compressed file is checked against its sum at its end, and ends nowhere else.
        match source.read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => return Err(Refused::Format("bytes follow the last element".into())),
            Err(e) => return Err(Refused::Format(format!("{e}; the file is damaged"))),
        }
        if self.fortran && self.shape.len() > 1 {
            let array = ArrayD::from_shape_vec(IxDyn(&self.shape).f(), out)
                .map_err(|e| format!("shape {:?}: {e}", self.shape))?;
            out = array.iter().copied().collect();
        }
        Ok(Array {
            shape: self.shape,
            values: out,
        })
    }
}

/// The bytes of a header.
struct Text<'a> {
    left: &'a [u8],
}

impl<'a> Text<'a> {
    fn is_empty(&mut self) -> bool {
        self.left = self.left.trim_ascii_start();
        self.left.is_empty()
    }

    /// Goes past a character, where it is the next one.
    fn take(&mut self, character: u8) -> bool {
        self.left = self.left.trim_ascii_start();
        let is_next = self.left.first() == Some(&character);
        if is_next {
            self.left = &self.left[1..];
        }
        is_next
    }

    fn expect(&mut self, character: u8) -> Result<(), String> {
        if self.take(character) {
            return Ok(());
        }
        let character = char::from(character);
        Err(format!(
            "its header has no `{character}` where one belongs; arrays of fields are not read, only of numbers"
        ))
    }

    /// A string in either quotes; none that NumPy writes has an escape.
    fn string(&mut self) -> Result<&'a [u8], String> {
        let quote = if self.take(b'"') { b'"' } else { b'\'' };
        if quote == b'\'' {
            self.expect(quote)?;
        }
        let end = self.left.iter().position(|&b| b == quote);
        let end = end.ok_or("its header has a string without an end")?;
        let string = &self.left[..end];
        self.left = &self.left[end + 1..];
        Ok(string)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        self.left = self.left.trim_ascii_start();
        for (word, value) in [(&b"True"[..], true), (b"False", false)] {
            if let Some(left) = self.left.strip_prefix(word) {
                self.left = left;
                return Ok(value);
            }
        }
        Err("its header says neither True nor False of the order".into())
    }

    /// A tuple of sizes.
    fn shape(&mut self) -> Result<Vec<usize>, String> {
        let mut shape = Vec::new();
        self.expect(b'(')?;
        while !self.take(b')') {
            self.left = self.left.trim_ascii_start();
            let digits = self.left.iter().take_while(|b| b.is_ascii_digit()).count();
            let size = std::str::from_utf8(&self.left[..digits])
                .ok()
                .and_then(|digits| digits.parse().ok());
            shape.push(size.ok_or("its header has a shape that is not of sizes")?);
            self.left = &self.left[digits..];
            // Python 2 wrote long integers so.
            self.take(b'L');
            if shape.len() > MAX_AXES {
                return Err(format!("it has more than {MAX_AXES} axes"));
            }
            if !self.take(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }
}

/// The type of an element.
#[derive(Clone, Copy, Debug)]
struct Element {
    /// `b` for truth values, `i`, `u`, `f`.
    kind: u8,
    size: usize,
    big_endian: bool,
}

impl Element {
    fn parse(descr: &[u8]) -> Result<Self, String> {
        let element = match *descr {
            [
                order @ (b'<' | b'>' | b'|' | b'='),
                kind,
                size @ b'1'..=b'8',
            ] => Some(Element {
                kind,
                size: usize::from(size - b'0'),
                big_endian: order == b'>' || (order == b'=' && cfg!(target_endian = "big")),
            }),
            _ => None,
        };
        let is_known = |e: &Element| {
            matches!(
                (e.kind, e.size),
                (b'b', 1) | (b'i' | b'u', 1 | 2 | 4 | 8) | (b'f', 2 | 4 | 8)
            )
        };
        element.filter(is_known).ok_or_else(|| {
            format!(
                "its elements are of type `{}`; save it as float32, or another type of real numbers",
                descr[..descr.len().min(MAX_DESCR)].escape_ascii()
            )
        })
    }

    fn size(self) -> usize {
        self.size
    }

    /// Appends elements, given as whole ones, as numbers.
    fn convert(self, bytes: &[u8], out: &mut Vec<f32>) {
        macro_rules! numbers {
            ($t:ty, $as_f32:expr) => {
                out.extend(bytes.as_chunks::<{ size_of::<$t>() }>().0.iter().map(|b| {
                    let value = if self.big_endian {
                        <$t>::from_be_bytes(*b)
                    } else {
                        <$t>::from_le_bytes(*b)
                    };
                    let as_f32: fn($t) -> f32 = $as_f32;
                    as_f32(value)
                }))
            };
        }
        match (self.kind, self.size) {
            (b'f', 2) => numbers!(f16, f16::to_f32),
            (b'f', 4) => numbers!(f32, |v| v),
            (b'f', _) => numbers!(f64, |v| v as f32),
            (b'i', 1) => numbers!(i8, f32::from),
            (b'i', 2) => numbers!(i16, f32::from),
            (b'i', 4) => numbers!(i32, |v| v as f32),
            (b'i', _) => numbers!(i64, |v| v as f32),
            (b'u', 2) => numbers!(u16, f32::from),
            (b'u', 4) => numbers!(u32, |v| v as f32),
            (b'u', 8) => numbers!(u64, |v| v as f32),
            (b'b', _) => numbers!(u8, |v| f32::from(u8::from(v != 0))),
            (_, _) => numbers!(u8, f32::from),
        }
    }
}
