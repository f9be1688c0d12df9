//! The figures as a picture: how each proof's time is divided, and how long single operations take.

use super::report::{Report, Run, digits, time};
use crate::svg::{Anchor, Svg, color, text_width};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 20.0;
/// Where bars begin and end.
const BARS: (f64, f64) = (180.0, 700.0);
/// Of a bar with the space below it.
const LINE: f64 = 24.0;
const BAR: f64 = 18.0;
/// The bars of one operation are closer.
const THIN_LINE: f64 = 17.0;
const THIN_BAR: f64 = 13.0;
/// From a base line to the middle of its letters.
const HALF_LETTER: f64 = 4.5;

/// An SVG file.
pub(super) fn draw(report: &Report) -> String {
    let (legend, legend_lines) = legend(&report.stages());
    let runs: Vec<&Run> = report.runs().collect();
    let proofs_top = 112.0 + LINE * legend_lines as f64;
    let proofs_bottom = proofs_top + LINE * runs.len() as f64;
    let operations_top = proofs_bottom + 90.0;
    let (scale, bars) = (Scale::new(report), operation_bars(report, operations_top));
    let operations_bottom = bars.last().map_or(operations_top, |bar| bar.y + THIN_LINE);

    let mut svg = Svg::new(WIDTH, operations_bottom + 60.0);
    svg.sized_text(LEFT, 28.0, 17.0, &report.title());
    svg.text(LEFT, 50.0, Anchor::Start, &report.subtitle());

    svg.sized_text(LEFT, 84.0, 15.0, "Proofs: share of the time by stage");
    for (index, (name, (x, line))) in legend.into_iter().enumerate() {
        let y = 100.0 + LINE * line as f64;
        svg.bar((x, y), (14.0, 14.0), color(index), name, "");
        svg.text(x + 20.0, y + 7.0 + HALF_LETTER, Anchor::Start, name);
    }
    for quarter in 0..=4 {
        let x = BARS.0 + (BARS.1 - BARS.0) * f64::from(quarter) / 4.0;
        svg.rule((x, proofs_top - 4.0), (x, proofs_bottom + 4.0));
        let label = format!("{} %", 25 * quarter);
        svg.text(x, proofs_bottom + 20.0, Anchor::Middle, &label);
    }
    for (index, run) in runs.iter().enumerate() {
        let y = proofs_top + LINE * index as f64;
        proof(&mut svg, report, run, y);
    }

    if let Some(scale) = scale {
        let title = "Operations: milliseconds, on a logarithmic scale";
        svg.sized_text(LEFT, operations_top - 24.0, 15.0, title);
        for power in scale.low..=scale.high {
            let ms = 10f64.powi(power);
            let x = scale.place(ms);
            svg.rule((x, operations_top - 4.0), (x, operations_bottom + 4.0));
            let label = if power < 3 {
                format!("{ms} ms")
            } else {
                format!("{} s", ms / 1e3)
            };
            svg.text(x, operations_bottom + 20.0, Anchor::Middle, &label);
        }
        for bar in bars {
            let middle = bar.y + THIN_BAR / 2.0 + HALF_LETTER;
            if let Some(title) = bar.title {
                svg.text(LEFT, bar.y - 5.0, Anchor::Start, title);
            }
            svg.text(BARS.0 - 8.0, middle, Anchor::End, &bar.name);
            let end = scale.place(bar.ms);
            let told = time(bar.ms);
            let size = (end - BARS.0, THIN_BAR);
            svg.bar((BARS.0, bar.y), size, bar.color, &told, "");
            let told = format!("{told}, {} M/s", digits(bar.millions_per_s));
            svg.text(end + 6.0, middle, Anchor::Start, &told);
        }
    }
    svg.finish()
}

/// One proof's bar with its label and total.
fn proof(svg: &mut Svg, report: &Report, run: &Run, y: f64) {
    let middle = y + BAR / 2.0 + HALF_LETTER;
    svg.text(BARS.0 - 8.0, middle, Anchor::End, &shortened(run.label()));
    let mut x = BARS.0;
    for (index, stage) in report.stages().into_iter().enumerate() {
        let seconds = run.stage(stage);
        let share = if run.seconds > 0.0 {
            seconds / run.seconds
        } else {
            0.0
        };
        let width = share * (BARS.1 - BARS.0);
        let tip = format!("{stage}: {}", time(1e3 * seconds));
        let inside = format!("{:.0} %", 100.0 * share);
        svg.bar((x, y), (width, BAR), color(index), &tip, &inside);
        x += width;
    }
    let mut told = time(1e3 * run.seconds);
    if let Some(backend) = run.backend_s {
        told += &format!(", {} in the backend", time(1e3 * backend));
    }
    svg.text(BARS.1 + 10.0, middle, Anchor::Start, &told);
}

/// As much of a label as has room before the bars.
fn shortened(label: String) -> String {
    if text_width(&label) <= BARS.0 - 8.0 {
        return label;
    }
    let most = ((BARS.0 - 8.0) / text_width("x")) as usize - 1;
    label.chars().take(most).chain(['…']).collect()
}

/// A name of the legend, and where it stands: `x` and the line.
type Entry<'a> = (&'a str, (f64, usize));

/// The legend's entries, and how many lines they take.
fn legend<'a>(names: &[&'a str]) -> (Vec<Entry<'a>>, usize) {
    let (mut x, mut line) = (LEFT, 0);
    let mut places = vec![];
    for name in names {
        let width = 20.0 + text_width(name) + 16.0;
        if x + width > WIDTH - LEFT {
            (x, line) = (LEFT, line + 1);
        }
        places.push((*name, (x, line)));
        x += width;
    }
    (places, line + 1)
}

/// A bar of an operation.
struct OperationBar {
    /// Above the first bar of an operation.
    title: Option<&'static str>,
    name: String,
    color: &'static str,
    y: f64,
    ms: f64,
    millions_per_s: f64,
}

fn operation_bars(report: &Report, top: f64) -> Vec<OperationBar> {
    let (mut bars, mut y) = (vec![], top);
    for (index, name) in report.operation_names().into_iter().enumerate() {
        y += THIN_LINE + 4.0;
        let figures = report.operations.iter().filter(|f| f.operation == name);
        for (place, figure) in figures.enumerate() {
            bars.push(OperationBar {
                title: (place == 0).then_some(name),
                name: format!("2^{}", figure.k),
                color: color(index),
                y,
                ms: figure.ms,
                millions_per_s: figure.values_per_s / 1e6,
            });
            y += THIN_LINE;
        }
    }
    bars
}

/// Powers of ten that all operations are within.
struct Scale {
    low: i32,
    high: i32,
}

impl Scale {
    fn new(report: &Report) -> Option<Self> {
        let times = || report.operations.iter().map(|f| f.ms.max(1e-3));
        let (least, most) = (times().reduce(f64::min)?, times().reduce(f64::max)?);
        let low = least.log10().floor() as i32;
        Some(Self {
            low,
            high: (most.log10().ceil() as i32).max(low + 1),
        })
    }

    fn place(&self, ms: f64) -> f64 {
        let share = (ms.max(1e-3).log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        BARS.0 + (BARS.1 - BARS.0) * share.clamp(0.0, 1.0)
    }
}
