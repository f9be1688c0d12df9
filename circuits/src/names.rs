//! Names that come from files and stand in reports: of models, nodes, tensors.

/// Longest name, in bytes.
pub const MAX_BYTES: usize = 4096;

/// Whether a character shows itself where it is printed and moves nothing else: no control character, line or paragraph
/// separator, bidirectional control, character of no width, or space other than the ordinary one.
pub fn is_plain(c: char) -> bool {
    match c {
        ' '..='~' => true,
        _ if c.is_ascii() => false,
        // The standard library escapes what Unicode does not count as printable. After another character, since
        // a combining mark alone is escaped as well.
        _ => String::from_iter(['x', c]).escape_debug().nth(1) != Some('\\'),
    }
}

/// What a name cannot be; none where it is one.
pub fn fault(name: &str) -> Option<&'static str> {
    if name.len() > MAX_BYTES {
        return Some("has a name of more than 4096 bytes");
    }
    (!name.chars().all(is_plain)).then_some("has a name with control or invisible characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_shows_itself_is_plain() {
        for name in [
            "", "x", "conv/1:0", "Grüße", "入力", "é", "e\u{301}", "😀", "\\u{a}",
        ] {
            assert_eq!(fault(name), None, "{name}");
        }
        for c in [
            '\0',
            '\t',
            '\n',
            '\r',
            '\x1b',
            '\x7f',
            '\u{80}',
            '\u{9b}',
            '\u{ad}',
            '\u{a0}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202e}',
            '\u{2060}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{fff9}',
            '\u{e0001}',
            '\u{e0041}',
        ] {
            assert!(!is_plain(c), "{c:?}");
            assert!(fault(&format!("a{c}b")).is_some(), "{c:?}");
        }
        assert_eq!(fault(&"a".repeat(MAX_BYTES)), None);
        assert!(fault(&"a".repeat(MAX_BYTES + 1)).is_some());
    }
}
