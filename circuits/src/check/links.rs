//! How the terms of a node read a tensor, position by position, and by which displacement each tap is seen.
//!
//! A functional of plane `ρ` enters the plane `σ` of an accumulator with weight `w` at the displacement `d`: every accumulator at
//! `q` then has `w` times every value at `q - d`. So whatever pairs of positions have that displacement must be the same tap.

use std::collections::HashMap;

use super::CheckError;
use super::cells::Cells;
use super::places::{Place, Places};
use crate::model::{Kind, Op, Term};

/// A tap as a functional of some plane sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    /// Plane of the accumulators.
    pub(super) plane: usize,
    /// Displacement.
    pub(super) by: (i32, i32),
    /// Index in the kernel; of a sum, whose taps have one weight, 0.
    pub(super) tap: usize,
}

/// How one term reads its source.
#[derive(Debug)]
pub(super) struct Link<'a> {
    /// Tensor that is computed.
    pub(super) to: usize,
    pub(super) term: &'a Term,
    pub(super) kind: LinkKind,
}

/// See [`Link`].
#[derive(Debug)]
pub(super) enum LinkKind {
    /// Windows that slide: the taps by plane of the source.
    Windows(Vec<Vec<Hit>>),
    /// Element by element.
    Elements {
        /// Position in an item, and the place in the first item, by plane of the source.
        from: Vec<(usize, Place)>,
        /// Place in the first item by position of the accumulator.
        to: Vec<Option<Place>>,
        /// `(output element, weight)` by input element, for sparse maps.
        entries: HashMap<u32, Vec<(u32, i64)>>,
    },
}

/// Sliding windows: `p = o·stride + tap·dilation - pad` in both directions.
struct Slide {
    kernel: (usize, usize),
    stride: (usize, usize),
    dilation: (usize, usize),
    pads: (usize, usize),
    /// All taps have one weight.
    alike: bool,
}

/// How a term of the tensor `to` reads its source.
pub(super) fn link<'a>(
    cells: &[Cells<'a>],
    to: usize,
    from: usize,
    term: &'a Term,
) -> Result<Link<'a>, CheckError> {
    let (reader, source) = (&cells[to], &cells[from]);
    let kind = match &term.op {
        Op::Conv(conv) => {
            let slide = Slide {
                kernel: conv.kernel,
                stride: conv.stride,
                dilation: conv.dilation,
                pads: (conv.pads.0, conv.pads.1),
                alike: false,
            };
            windows(reader, source, &slide)
        }
        Op::SumPool(pool) => {
            let slide = Slide {
                kernel: pool.kernel,
                stride: pool.stride,
                dilation: (1, 1),
                pads: (pool.pads.0, pool.pads.1),
                alike: true,
            };
            windows(reader, source, &slide)
        }
        Op::Dense { .. } | Op::Map { .. } => elements(reader, source, &term.op),
    };
    let kind = kind.map_err(|e| e.node(&reader.node.name))?;
    Ok(Link { to, term, kind })
}

/// The position in `0..size` that tap `k` of output `o` reads.
fn tapped(
    o: usize,
    k: usize,
    (stride, dilation, pad): (usize, usize, usize),
    size: usize,
) -> Option<usize> {
    (o * stride + k * dilation)
        .checked_sub(pad)
        .filter(|p| *p < size)
}

/// Plane of the source, plane of the accumulators, displacement.
type Key = (usize, usize, (i32, i32));

fn windows(reader: &Cells<'_>, source: &Cells<'_>, slide: &Slide) -> Result<LinkKind, CheckError> {
    let shape = source.node.shape;
    let (produced, consumed) = (&reader.produced, &source.consumed);
    // What must be: the displacement at which each accumulator finds the position of each tap.
    let mut seen: HashMap<Key, (usize, u64)> = HashMap::new();
    for tap in 0..slide.kernel.0 * slide.kernel.1 {
        let (ky, kx) = (tap / slide.kernel.1, tap % slide.kernel.1);
        let weight = if slide.alike { 0 } else { tap };
        let mut run: Option<(Key, u64)> = None;
        for n in 0..shape.n {
            for oy in 0..reader.grid.0 {
                let y = (slide.stride.0, slide.dilation.0, slide.pads.0);
                let Some(py) = tapped(oy, ky, y, shape.h) else {
                    continue;
                };
                for ox in 0..reader.grid.1 {
                    let o = (n * reader.grid.0 + oy) * reader.grid.1 + ox;
                    let x = (slide.stride.1, slide.dilation.1, slide.pads.1);
                    let (Some(q), Some(px)) = (produced.at[o], tapped(ox, kx, x, shape.w)) else {
                        continue;
                    };
                    let p = (n * shape.h + py) * shape.w + px;
                    let key = found(q, consumed.at[p], source)?;
                    match &mut run {
                        Some((last, count)) if *last == key => *count += 1,
                        _ => {
                            note(&mut seen, run.replace((key, 1)), weight)?;
                        }
                    }
                }
            }
        }
        note(&mut seen, run, weight)?;
    }
    whole(&seen, produced, consumed, source)?;
    let mut hits = vec![Vec::new(); consumed.planes.len()];
    for ((from, plane, by), (tap, _)) in seen {
        hits[from].push(Hit { plane, by, tap });
    }
    Ok(LinkKind::Windows(hits))
}

/// The displacement between an accumulator's place and what it reads.
fn found(q: Place, p: Option<Place>, source: &Cells<'_>) -> Result<Key, CheckError> {
    let p = p.ok_or_else(|| {
        CheckError::new(format!(
            "an element of `{}` that it reads is consumed nowhere",
            source.node.name
        ))
    })?;
    Ok((p.plane, q.plane, (q.y - p.y, q.x - p.x)))
}

fn note(
    seen: &mut HashMap<Key, (usize, u64)>,
    run: Option<(Key, u64)>,
    tap: usize,
) -> Result<(), CheckError> {
    let Some((key, count)) = run else {
        return Ok(());
    };
    let entry = seen.entry(key).or_insert((tap, 0));
    entry.1 += count;
    if entry.0 == tap {
        Ok(())
    } else {
        Err(CheckError::new("two taps have one displacement"))
    }
}

/// What may be: no other pairs of positions have the displacement of a tap, and the product has all rows that it reaches.
fn whole(
    seen: &HashMap<Key, (usize, u64)>,
    produced: &Places,
    consumed: &Places,
    source: &Cells<'_>,
) -> Result<(), CheckError> {
    let (outputs, inputs) = (&produced.by_plane, &consumed.by_plane);
    for ((from, to, (dy, dx)), (_, count)) in seen {
        let at = |position: &usize| produced.at[*position].map_or((0, 0), |q| (q.y - dy, q.x - dx));
        let pairs: u64 = outputs[*to]
            .iter()
            .map(|o| u64::from(consumed.counts[*from].at(at(o))))
            .sum();
        if pairs != *count {
            return Err(CheckError::new(format!(
                "elements of `{}` beside those of a tap have its displacement",
                source.node.name
            )));
        }
        let reached = |position: &usize| {
            consumed.at[*position]
                .is_none_or(|p| produced.counts[*to].at((p.y + dy, p.x + dx)) == 1)
        };
        if !inputs[*from].iter().all(reached) {
            return Err(CheckError::new("the full product lacks a row"));
        }
    }
    Ok(())
}

fn elements(reader: &Cells<'_>, source: &Cells<'_>, op: &Op) -> Result<LinkKind, CheckError> {
    let items = source.node.shape.n;
    let (from, step) = lattice(&source.consumed, items)?;
    let (to, pitch) = lattice(&reader.produced, items)?;
    // An item's accumulators meet the values of their own item alone.
    if items > 1
        && (step.is_none() || step != pitch || step == Some((0, 0)))
        && to.iter().any(Option::is_some)
    {
        return Err(CheckError::new("batch items stand at unequal distances"));
    }
    let mut entries: HashMap<u32, Vec<(u32, i64)>> = HashMap::new();
    let size = reader.grid.0 * reader.grid.1;
    let needed: Vec<bool> = match op {
        Op::Map { entries: all, .. } => {
            let mut needed = vec![false; from.len()];
            for &(output, input, weight) in all {
                // What nobody reads has no place.
                if to[output as usize % size].is_some() && weight != 0 {
                    entries.entry(input).or_default().push((output, weight));
                    needed[input as usize % from.len()] = true;
                }
            }
            needed
        }
        _ => vec![to.iter().any(Option::is_some); from.len()],
    };
    let lost = needed
        .iter()
        .zip(&from)
        .any(|(needed, at)| *needed && at.is_none());
    if lost {
        return Err(CheckError::new(format!(
            "an element of `{}` that it reads is consumed nowhere",
            source.node.name
        )));
    }
    let mut planes: Vec<(usize, Place)> = Vec::with_capacity(from.len());
    planes.extend(
        from.iter()
            .enumerate()
            .filter_map(|(i, p)| Some((i, (*p)?))),
    );
    planes.sort_unstable_by_key(|(_, place)| place.plane);
    Ok(LinkKind::Elements {
        from: planes,
        to,
        entries,
    })
}

/// The places of the first item's positions, each in a plane of its own, and the distance from each item to the next.
type Lattice = (Vec<Option<Place>>, Option<(i32, i32)>);

fn lattice(places: &Places, items: usize) -> Result<Lattice, CheckError> {
    let size = places.at.len() / items;
    let (first, rest) = places.at.split_at(size);
    let mut taken = vec![false; places.planes.len()];
    if first
        .iter()
        .flatten()
        .any(|p| std::mem::replace(&mut taken[p.plane], true))
    {
        return Err(CheckError::new("elements share a plane"));
    }
    let mut step = None;
    for (n, item) in (1..).zip(rest.chunks(size)) {
        for (a, b) in first.iter().zip(item) {
            let (Some(a), Some(b)) = (a, b) else {
                if a.is_some() || b.is_some() {
                    return Err(CheckError::new("batch items differ"));
                }
                continue;
            };
            let (dy, dx) = *step.get_or_insert((b.y - a.y, b.x - a.x));
            if a.plane != b.plane || (b.y, b.x) != (a.y + n * dy, a.x + n * dx) {
                return Err(CheckError::new("batch items differ"));
            }
        }
    }
    Ok((first.to_vec(), step))
}

/// Whether a kernel of a term reads a channel of its source, as a channel of its own.
pub(super) fn channel_of(term: &Term, channel: usize) -> Option<usize> {
    let channel = channel.checked_sub(term.channel)?;
    let count = match &term.op {
        Op::Conv(conv) => conv.cin,
        Op::SumPool(pool) => pool.channels,
        Op::Dense { .. } | Op::Map { .. } => return Some(channel),
    };
    (channel < count).then_some(channel)
}

/// The terms of a node.
pub(super) fn terms<'a>(cells: &Cells<'a>) -> &'a [Term] {
    match &cells.node.kind {
        Kind::Linear(linear) => &linear.terms,
        Kind::Input { .. } => &[],
    }
}
