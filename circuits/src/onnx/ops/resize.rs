//! Resize: nearest, linear and cubic, by constant scales or sizes.

use crate::onnx::{
    ImportError,
    attributes::NodeView,
    broadcast::{for_each_index, strides},
    build::{Builder, Value, floats, integers},
};

/// Elements of an axis and their weights.
type Taps = Vec<(usize, f32)>;

pub(super) fn resize(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let from = ctx.shape(x).to_vec();
    let shape = ctx.output_shape(node, 0)?;
    if shape.len() != from.len() {
        return Err(node.form("its output has another rank than its input"));
    }
    refuse(node)?;
    let scales = scales(ctx, node, &from, &shape)?;
    let rule = Rule::new(node)?;
    let axes: Vec<Vec<Taps>> = (0..from.len())
        .map(|axis| {
            (0..shape[axis])
                .map(|out| rule.taps(out, scales[axis], from[axis], shape[axis]))
                .collect()
        })
        .collect();
    let steps = strides(&from);
    let mut taps = Vec::with_capacity(shape.iter().product());
    for_each_index(&shape, |index| {
        let mut all = vec![(0, 1.0)];
        for (axis, &i) in index.iter().enumerate() {
            let (of, step) = (&axes[axis][i], steps[axis]);
            all = all
                .iter()
                .flat_map(|&(e, w)| of.iter().map(move |&(t, v)| (e + t * step, w * v)))
                .collect();
        }
        taps.push(all);
    });
    let id = if rule.mode == Mode::Nearest {
        let cells = taps.iter().map(|t| Some((0, t[0].0 as u32))).collect();
        ctx.rearrange(node, vec![x], shape, cells)?
    } else {
        ctx.linear_map(node, x, shape, taps)?
    };
    ctx.assign(node, Value::Node(id))
}

/// Attributes that change the result and have no importer.
fn refuse(node: &NodeView) -> Result<(), ImportError> {
    for name in ["antialias", "exclude_outside"] {
        if node.int(name).unwrap_or(0) != 0 {
            return Err(node.form(format!("attribute {name} is set; only 0 is supported")));
        }
    }
    match node.string("keep_aspect_ratio_policy").as_deref() {
        None | Some("stretch" | "") => Ok(()),
        Some(other) => Err(node.form(format!(
            "keep_aspect_ratio_policy {other}; only stretch is supported"
        ))),
    }
}

/// Output over input size of each axis.
fn scales(
    ctx: &Builder,
    node: &NodeView,
    from: &[usize],
    shape: &[usize],
) -> Result<Vec<f32>, ImportError> {
    // Up to opset 10 the scales are operand 1; since then the region of interest is.
    let at = if node.inputs().len() == 2 { 1 } else { 2 };
    let given = match ctx.optional(node, at, "the scales")? {
        Some(tensor) => floats(node, &tensor)?,
        None => Vec::new(),
    };
    if given.is_empty() {
        if let Some(sizes) = ctx.optional(node, 3, "the sizes")? {
            integers(node, &sizes)?;
        }
        let ratio = shape.iter().zip(from).map(|(&s, &f)| s as f32 / f as f32);
        return Ok(ratio.collect());
    }
    let axes = match node.ints("axes") {
        None => (0..from.len()).collect(),
        Some(axes) => axes
            .iter()
            .map(|&axis| node.axis(axis, from.len()))
            .collect::<Result<Vec<_>, _>>()?,
    };
    if given.len() != axes.len() || given.iter().any(|&s| !s.is_finite() || s <= 0.0) {
        return Err(node.form(format!("scales {given:?} do not fit its axes")));
    }
    let mut scales = vec![1.0; from.len()];
    for (axis, scale) in axes.into_iter().zip(given) {
        scales[axis] = scale;
    }
    Ok(scales)
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Nearest,
    Linear,
    Cubic { a: f32 },
}

/// How an output place finds its input places.
struct Rule {
    mode: Mode,
    coordinates: String,
    nearest: String,
}

impl Rule {
    fn new(node: &NodeView) -> Result<Rule, ImportError> {
        let old = node.inputs().len() == 2;
        let mode = match node.string("mode").as_deref() {
            None | Some("nearest" | "") => Mode::Nearest,
            Some("linear") => Mode::Linear,
            Some("cubic") => Mode::Cubic {
                a: node.float("cubic_coeff_a").unwrap_or(-0.75),
            },
            Some(other) => {
                return Err(node.form(format!(
                    "mode {other}; supported are nearest, linear and cubic"
                )));
            }
        };
        let default = if old { "asymmetric" } else { "half_pixel" };
        let coordinates = node
            .string("coordinate_transformation_mode")
            .unwrap_or_else(|| default.into());
        let known = [
            "half_pixel",
            "half_pixel_symmetric",
            "pytorch_half_pixel",
            "align_corners",
            "asymmetric",
        ];
        if !known.contains(&coordinates.as_str()) {
            return Err(node.form(format!(
                "coordinate_transformation_mode {coordinates}; supported are {}",
                known.join(", ")
            )));
        }
        let default = if old { "floor" } else { "round_prefer_floor" };
        let nearest = node
            .string("nearest_mode")
            .unwrap_or_else(|| default.into());
        let known = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"];
        if !known.contains(&nearest.as_str()) {
            return Err(node.form(format!(
                "nearest_mode {nearest}; supported are {}",
                known.join(", ")
            )));
        }
        Ok(Rule {
            mode,
            coordinates,
            nearest,
        })
    }

    /// The place in the input's coordinates, computed in `f32` as runtimes do: ties depend on it.
    fn coordinate(&self, out: usize, scale: f32, from: usize, to: usize) -> f32 {
        let (at, half) = (out as f32, (out as f32 + 0.5) / scale - 0.5);
        match self.coordinates.as_str() {
            "asymmetric" => at / scale,
            "align_corners" if scale * from as f32 == 1.0 => 0.0,
            "align_corners" => at * (from as f32 - 1.0) / (scale * from as f32 - 1.0),
            "pytorch_half_pixel" if to == 1 => 0.0,
            "half_pixel_symmetric" => {
                let adjustment = to as f32 / (scale * from as f32);
                from as f32 / 2.0 * (1.0 - adjustment) + half
            }
            _ => half,
        }
    }

    fn taps(&self, out: usize, scale: f32, from: usize, to: usize) -> Taps {
        let at = self.coordinate(out, scale, from, to);
        let inside = |place: f32| (place.max(0.0) as usize).min(from - 1);
        if scale == 1.0 && from == to {
            return vec![(out, 1.0)];
        }
        let base = at.floor();
        let part = at - base;
        let all: Vec<(usize, f32)> = match self.mode {
            Mode::Nearest => {
                let up = match self.nearest.as_str() {
                    "floor" => false,
                    "ceil" => part > 0.0,
                    "round_prefer_ceil" => part >= 0.5,
                    _ => part > 0.5,
                };
                vec![(inside(if up { base + 1.0 } else { base }), 1.0)]
            }
            Mode::Linear => vec![(inside(base), 1.0 - part), (inside(base + 1.0), part)],
            Mode::Cubic { a } => (-1i8..3)
                .map(|t| {
                    let offset = f32::from(t);
                    (inside(base + offset), cubic((offset - part).abs(), a))
                })
                .collect(),
        };
        let mut taps: Taps = Vec::new();
        for (place, weight) in all {
            match taps.iter_mut().find(|tap| tap.0 == place) {
                Some(tap) => tap.1 += weight,
                None => taps.push((place, weight)),
            }
        }
        taps
    }
}

/// The cubic convolution kernel at distance `s` (Keys 1981).
fn cubic(s: f32, a: f32) -> f32 {
    if s <= 1.0 {
        ((a + 2.0) * s - (a + 3.0)) * s * s + 1.0
    } else if s < 2.0 {
        ((a * s - 5.0 * a) * s + 8.0 * a) * s - 4.0 * a
    } else {
        0.0
    }
}
