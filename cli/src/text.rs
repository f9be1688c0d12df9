//! What is printed: nothing in it that hides itself or moves what stands elsewhere.
//!
//! Names in files, and what a chain's endpoint says, are chosen by others; in their hands a control character could
//! replace another line of a report, say an id. So names with such characters are refused where files are read; the cells of a
//! [`Table`](crate::ui::Table) are [`line()`]s; and all that is printed passes [`lines`], [`json`] or [`Escaping`].

use std::{
    io::{self, Write},
    path::Path,
};

use tensorseal_circuits::names::is_plain;

/// Text on one line, with all that does not show itself as `\u{..}`, line breaks too.
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
    }
    out
}

/// Text on several lines, each as by [`line()`].
pub fn lines(text: &str) -> String {
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// A JSON value, with all that does not show itself as `\uXXXX`: the same value for whoever parses it.
pub fn json(value: &serde_json::Value) -> String {
    let mut out = String::new();
    // Outside strings there are plain characters only.
    for c in value.to_string().chars() {
        if is_plain(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out += &format!("\\u{unit:04x}");
            }
        }
    }
    out
}

/// A path for reports; what of it is not UTF-8 is shown as `\u{fffd}` would be, `�`.
pub fn path(path: &Path) -> String {
    line(&path.to_string_lossy())
}

/// A writer of whole messages, each of which it makes one [`line()`].
#[derive(Debug)]
pub struct Escaping<W>(pub W);

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(message);
        match text.strip_suffix('\n') {
            Some(text) => self.0.write_all((line(text) + "\n").as_bytes())?,
            None => self.0.write_all(line(&text).as_bytes())?,
        }
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that would show another id: line breaks, a terminal's sequences, bidirectional controls.
    const HOSTILE: &str =
        "digits\n  key id  0\x1b[8m\r\u{9b}\u{202e}\u{2066}\u{200b}\u{2028}\u{7f}";

    #[test]
    fn nothing_hides_in_what_is_printed() {
        let shown = line(HOSTILE);
        assert_eq!(
            shown,
            "digits\\u{a}  key id  0\\u{1b}[8m\\u{d}\\u{9b}\\u{202e}\\u{2066}\\u{200b}\\u{2028}\\u{7f}"
        );
        assert_eq!(line(&shown), shown);
        assert_eq!(lines("a\n\tb"), "a\n\\u{9}b");
        let mut out = Escaping(Vec::new());
        out.write_all(b"one\ntwo\n").unwrap();
        assert_eq!(out.0, b"one\\u{a}two\n");
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({ HOSTILE: [HOSTILE, "\u{e0041}", "Grüße"] });
        let text = json(&value);
        assert!(text.chars().all(is_plain), "{text}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}
