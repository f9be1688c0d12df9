//! Linear maps of images whose places are constant: Col2Im, AffineGrid, GridSample.

use crate::onnx::{
    ImportError,
    attributes::NodeView,
    broadcast::{for_each_index, strides},
    build::{Builder, Value, finite, integers},
};

fn sizes(node: &NodeView, values: Vec<i64>) -> Result<Vec<usize>, ImportError> {
    let size = |&v: &i64| usize::try_from(v).ok().filter(|&v| v > 0 && v < 1 << 20);
    let sizes: Option<Vec<usize>> = values.iter().map(size).collect();
    sizes.ok_or_else(|| node.form(format!("{values:?} are not sizes")))
}

/// Sums the columns that Im2Col would have taken apart.
pub(super) fn columns_to_image(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let image = sizes(
        node,
        integers(node, &*ctx.constant(node, 1, "the image shape")?)?,
    )?;
    let block = sizes(
        node,
        integers(node, &*ctx.constant(node, 2, "the block shape")?)?,
    )?;
    let rank = image.len();
    let &[n, all, columns] = ctx.shape(x) else {
        return Err(node.form("its input has not 3 axes"));
    };
    let taps_a_block: usize = block.iter().product();
    if block.len() != rank || !all.is_multiple_of(taps_a_block) {
        return Err(node.form(format!(
            "blocks {block:?} do not fit its input or image {image:?}"
        )));
    }
    let dilations = node.sizes("dilations", rank, 1)?;
    let steps = node.sizes("strides", rank, 1)?;
    let pads = node.sizes("pads", 2 * rank, 0)?;
    let mut blocks = Vec::with_capacity(rank);
    for (axis, (&size, &step)) in image.iter().zip(&steps).enumerate() {
        let reach = dilations[axis] * (block[axis] - 1) + 1;
        let padded = size + pads[axis] + pads[axis + rank];
        let free = padded.checked_sub(reach).filter(|_| step > 0);
        let free = free.ok_or_else(|| node.form("its blocks are larger than its image"))?;
        blocks.push(free / step + 1);
    }
    if blocks.iter().product::<usize>() != columns {
        return Err(node.form(format!("{columns} columns are not blocks of {blocks:?}")));
    }
    let channels = all / taps_a_block;
    let shape = [&[n, channels][..], &image].concat();
    let out_steps = strides(&shape);
    let mut taps = vec![Vec::new(); shape.iter().product()];
    for item in 0..n {
        for channel in 0..channels {
            let mut tap = 0;
            for_each_index(&block, |k| {
                let mut column = 0;
                for_each_index(&blocks, |l| {
                    let place = (0..rank).try_fold(0, |at, axis| {
                        let i = (l[axis] * steps[axis] + k[axis] * dilations[axis])
                            .checked_sub(pads[axis])?;
                        (i < image[axis]).then_some(at + i * out_steps[axis + 2])
                    });
                    if let Some(place) = place {
                        let out = item * out_steps[0] + channel * out_steps[1] + place;
                        let element =
                            (item * all + channel * taps_a_block + tap) * columns + column;
                        taps[out].push((element, 1.0));
                    }
                    column += 1;
                });
                tap += 1;
            });
        }
    }
    let id = ctx.linear_map(node, x, shape, taps)?;
    ctx.assign(node, Value::Node(id))
}

/// The grid of places that affine maps take the pixels of an image to.
pub(super) fn affine_grid(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let size = sizes(node, integers(node, &*ctx.constant(node, 1, "the size")?)?)?;
    let corners = node.int("align_corners").unwrap_or(0) != 0;
    let (n, spatial) = match size.as_slice() {
        [n, _, spatial @ ..] if matches!(spatial.len(), 2 | 3) => (*n, spatial),
        _ => return Err(node.form(format!("size {size:?} is not that of images"))),
    };
    let rank = spatial.len();
    if ctx.shape(x) != [n, rank, rank + 1] {
        return Err(node.form(format!(
            "its maps have shape {:?}, expected {:?}",
            ctx.shape(x),
            [n, rank, rank + 1]
        )));
    }
    let shape = [&[n][..], spatial, &[rank]].concat();
    let mut taps = Vec::with_capacity(shape.iter().product());
    for_each_index(&shape, |index| {
        let row = (index[0] * rank + index[rank + 1]) * (rank + 1);
        // Coordinates run from the last axis to the first.
        let mut line: Vec<(usize, f32)> = (0..rank)
            .map(|i| {
                let axis = rank - 1 - i;
                let (at, len) = (index[1 + axis] as f32, spatial[axis] as f32);
                let place = match corners {
                    true if len > 1.0 => 2.0 * at / (len - 1.0) - 1.0,
                    true => -1.0,
                    false => (2.0 * at + 1.0) / len - 1.0,
                };
                (row + i, place)
            })
            .collect();
        line.push((row + rank, 1.0));
        taps.push(line);
    });
    let id = ctx.linear_map(node, x, shape, taps)?;
    ctx.assign(node, Value::Node(id))
}

#[derive(Clone, Copy, PartialEq)]
enum Padding {
    Zeros,
    Border,
    Reflection,
}

/// How places become elements of one axis.
struct Sampler {
    mode: String,
    padding: Padding,
    corners: bool,
}

impl Sampler {
    fn new(node: &NodeView) -> Result<Sampler, ImportError> {
        let mode = node.string("mode").unwrap_or_else(|| "linear".into());
        let mode = match mode.as_str() {
            "bilinear" | "linear" => "linear",
            "bicubic" | "cubic" => "cubic",
            "nearest" => "nearest",
            other => {
                return Err(node.form(format!(
                    "mode {other}; supported are linear, nearest and cubic"
                )));
            }
        };
        let padding = match node.string("padding_mode").as_deref() {
            None | Some("zeros" | "") => Padding::Zeros,
            Some("border") => Padding::Border,
            Some("reflection") => Padding::Reflection,
            Some(other) => {
                return Err(node.form(format!(
                    "padding_mode {other}; supported are zeros, border and reflection"
                )));
            }
        };
        Ok(Sampler {
            mode: mode.into(),
            padding,
            corners: node.int("align_corners").unwrap_or(0) != 0,
        })
    }

    /// The ends of an axis.
    fn ends(&self, len: f64) -> (f64, f64) {
        if self.corners {
            (0.0, len - 1.0)
        } else {
            (-0.5, len - 0.5)
        }
    }

    /// A place inside the axis, where padding takes one there.
    fn inside(&self, x: f64, len: f64) -> f64 {
        let (lo, hi) = self.ends(len);
        match self.padding {
            Padding::Zeros => x,
            Padding::Border => x.clamp(0.0, len - 1.0),
            Padding::Reflection if hi <= lo => lo,
            Padding::Reflection => {
                let span = hi - lo;
                let beyond = (x - lo).rem_euclid(2.0 * span);
                lo + if beyond > span {
                    2.0 * span - beyond
                } else {
                    beyond
                }
            }
        }
    }

    /// Elements and weights for a normalized place.
    fn taps(&self, place: f64, len: usize) -> Vec<(usize, f64)> {
        let size = len as f64;
        let mut x = if self.corners {
            (place + 1.0) / 2.0 * (size - 1.0)
        } else {
            ((place + 1.0) * size - 1.0) / 2.0
        };
        if self.mode == "nearest" {
            x = x.round_ties_even();
        }
        let (lo, hi) = self.ends(size);
        if x < lo || x > hi {
            x = self.inside(x, size);
        }
        let floor = x.floor();
        let t = x - floor;
        let weights: Vec<(f64, f64)> = match self.mode.as_str() {
            "nearest" => vec![(x, 1.0)],
            "linear" => vec![(floor, 1.0 - t), (floor + 1.0, t)],
            _ => {
                const A: f64 = -0.75;
                let near = |d: f64| ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0;
                let far = |d: f64| ((A * d - 5.0 * A) * d + 8.0 * A) * d - 4.0 * A;
                vec![
                    (floor - 1.0, far(t + 1.0)),
                    (floor, near(t)),
                    (floor + 1.0, near(1.0 - t)),
                    (floor + 2.0, far(2.0 - t)),
                ]
            }
        };
        let element = |(at, weight): (f64, f64)| {
            let at = self.inside(at, size).round();
            let there = at >= 0.0 && at < size && weight != 0.0;
            there.then_some((at as usize, weight))
        };
        weights.into_iter().filter_map(element).collect()
    }
}

/// Samples images at constant places.
pub(super) fn grid_sample(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = ctx.node(node, 0)?;
    let grid = ctx.constant(node, 1, "the grid")?;
    let from = ctx.shape(x).to_vec();
    let (&[n, channels, ref spatial @ ..], &[m, ref out @ .., axes]) =
        (from.as_slice(), grid.shape())
    else {
        return Err(node.form("its input or grid has too few axes"));
    };
    if n != m || axes != spatial.len() || out.len() != axes || axes == 0 {
        return Err(node.form(format!(
            "a grid of shape {:?} does not fit {from:?}",
            grid.shape()
        )));
    }
    let sampler = Sampler::new(node)?;
    let places = finite(node, &grid)?;
    let steps = strides(&from);
    let shape = [&[n, channels][..], out].concat();
    let positions: usize = out.iter().product();
    let mut taps = Vec::with_capacity(shape.iter().product());
    for item in 0..n {
        for channel in 0..channels {
            for position in 0..positions {
                let first = (item * positions + position) * axes;
                let mut all = vec![(item * steps[0] + channel * steps[1], 1.0)];
                for (axis, &len) in spatial.iter().enumerate() {
                    // Coordinates run from the last axis to the first.
                    let place = f64::from(places[first + axes - 1 - axis]);
                    let of = sampler.taps(place, len);
                    all = all
                        .iter()
                        .flat_map(|&(e, w)| of.iter().map(move |&(t, v)| (e, t, w * v)))
                        .map(|(e, t, w)| (e + t * steps[axis + 2], w))
                        .collect();
                }
                // Padding may name an element twice.
                let mut merged: Vec<(usize, f32)> = Vec::with_capacity(all.len());
                for (element, weight) in all {
                    match merged.iter_mut().find(|(e, _)| *e == element) {
                        Some(tap) => tap.1 += weight as f32,
                        None => merged.push((element, weight as f32)),
                    }
                }
                taps.push(merged);
            }
        }
    }
    let id = ctx.linear_map(node, x, shape, taps)?;
    ctx.assign(node, Value::Node(id))
}
