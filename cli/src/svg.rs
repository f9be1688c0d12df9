//! What pictures are drawn with: bars, lines and text as SVG that needs no other file.

use std::fmt::{Display, Write};

/// Which point of a text is at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Where it begins.
    Start,
    /// Its middle.
    Middle,
    /// Where it ends.
    End,
}

/// Colours that are told apart side by side.
const COLORS: [&str; 12] = [
    "#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2", "#edc948", "#b07aa1", "#9c755f",
    "#ff9da7", "#bab0ac", "#d4a6c8", "#2f4b7c",
];

/// Colours on which text is dark.
const LIGHT: [&str; 6] = [
    "#f28e2b", "#76b7b2", "#edc948", "#ff9da7", "#bab0ac", "#d4a6c8",
];

/// The colour of a series; they repeat after twelve.
pub fn color(index: usize) -> &'static str {
    COLORS[index % COLORS.len()]
}

/// A picture, drawn from back to front.
#[derive(Clone, Debug)]
pub struct Svg {
    text: String,
}

impl Svg {
    /// White, of a size in pixels.
    pub fn new(width: f64, height: f64) -> Self {
        let mut svg = Self {
            text: String::new(),
        };
        svg.line(format_args!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">"#
        ));
        svg.line(r#"<rect width="100%" height="100%" fill="white"/>"#);
        svg
    }

    fn line(&mut self, line: impl Display) {
        writeln!(self.text, "{line}").expect("a string takes all");
    }

    /// A bar, with what it tells when pointed at, and a label inside where there is room.
    pub fn bar(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        color: &str,
        tip: &str,
        label: &str,
    ) {
        self.line(format_args!(
            r#"<rect x="{x:.2}" y="{y:.2}" width="{width:.2}" height="{height:.2}" fill="{color}"><title>{}</title></rect>"#,
            escape(tip)
        ));
        if !label.is_empty() && width > text_width(label) + 8.0 {
            let ink = if LIGHT.contains(&color) {
                "#222"
            } else {
                "white"
            };
            // Letters are about 9 units high.
            let (x, y) = (x + width / 2.0, y + height / 2.0 + 4.5);
            self.line(format_args!(
                r#"<text x="{x:.2}" y="{y:.2}" text-anchor="middle" fill="{ink}">{}</text>"#,
                escape(label)
            ));
        }
    }

    /// A thin line for a scale.
    pub fn rule(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.line(format_args!(
            r##"<line x1="{x1:.2}" y1="{y1:.2}" x2="{x2:.2}" y2="{y2:.2}" stroke="#ccc"/>"##
        ));
    }

    /// A text on its base line.
    pub fn text(&mut self, x: f64, y: f64, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.line(format_args!(
            r#"<text x="{x:.2}" y="{y:.2}" text-anchor="{anchor}">{}</text>"#,
            escape(text)
        ));
    }

    /// A text of another size than 13, from its beginning.
    pub fn sized_text(&mut self, x: f64, y: f64, size: f64, text: &str) {
        self.line(format_args!(
            r#"<text x="{x:.2}" y="{y:.2}" font-size="{size}">{}</text>"#,
            escape(text)
        ));
    }

    /// The file.
    pub fn finish(mut self) -> String {
        self.text += "</svg>\n";
        self.text
    }
}

/// How wide a text is at most, about.
pub fn text_width(text: &str) -> f64 {
    7.2 * text.chars().count() as f64
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
