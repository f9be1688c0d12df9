//! Phase 1 by tensor: full products, remainders, looked-up values.

use std::collections::HashMap;

use crate::layout::{Chunk, Layout, Tensor};
use crate::model::{Kind, Linear, Table};

/// Why there is no witness.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WitnessError {
    /// Wrong number of inputs.
    #[error("the model has {expected} inputs but {got} were given")]
    Inputs {
        /// The model's inputs.
        expected: usize,
        /// What came.
        got: usize,
    },
    /// An input of the wrong length.
    #[error("input `{name}` has {expected} elements but {got} were given")]
    Length {
        /// The input.
        name: String,
        /// Its elements.
        expected: usize,
        /// What came.
        got: usize,
    },
    /// An input value outside its range.
    #[error(
        "input `{name}` holds {value} at element {element}, outside {lo}..={hi}; quantize it with the model's scale"
    )]
    Range {
        /// The input.
        name: String,
        /// The value.
        value: i64,
        /// Where.
        element: usize,
        /// Least.
        lo: i64,
        /// Greatest.
        hi: i64,
    },
    /// The layout has no cell for a value: a defect of the compiler, found before proving.
    #[error("the layout has no cell for a value of node `{node}`; please report this model")]
    NoCell {
        /// The node.
        node: String,
    },
    /// The circuit computed another value than the integer model: a defect of the compiler, found before proving.
    #[error(
        "the circuit has {circuit} at element {element} of `{port}`, where the integer model has {model}; please report this model, nothing was proved"
    )]
    Disagrees {
        /// The input or output.
        port: String,
        /// Element of its node's NCHW tensor.
        element: usize,
        /// What the instance columns hold.
        circuit: i64,
        /// What the executor computes.
        model: i64,
    },
    /// The circuit hashed other values than the integer model has: a defect of the compiler, found before proving.
    #[error(
        "the circuit's digest of the {side} is not the one of the integer model's values; please report this model, nothing was proved"
    )]
    Digest {
        /// `inputs` or `outputs`.
        side: &'static str,
    },
    /// The instance columns are not those of the layout.
    #[error(transparent)]
    Public(#[from] crate::layout::PublicError),
    /// The executor refused the inputs.
    #[error(transparent)]
    Execute(#[from] crate::executor::ExecError),
    /// The interval analysis missed a value: a defect of the compiler, found before proving.
    #[error("node `{node}` computed {value}, outside its lookup table; please report this model")]
    OutsideTable {
        /// The node.
        node: String,
        /// The value.
        value: i64,
    },
}

/// Cells of one tensor, by group, position and lane.
#[derive(Debug, Default)]
pub(super) struct Cells {
    pub(super) a: Vec<i64>,
    /// Remainders; where nothing is looked up the accumulator itself.
    pub(super) b: Vec<i64>,
    pub(super) c: Vec<i64>,
    /// Public values of outputs.
    pub(super) public: Vec<i64>,
    /// Table row of the `(a, c)` lookup.
    pub(super) lookup: Vec<u32>,
}

/// Index of `(group, position, lane)`.
pub(super) fn cell_index(tensor: &Tensor, lanes: usize, group: usize, position: usize) -> usize {
    (group * tensor.order.len() + position) * lanes
}

/// Where the coordinates of a tensor's full product lie.
struct Slots {
    y0: i64,
    x0: i64,
    width: i64,
    by_cell: Vec<u32>,
    count: usize,
}

const NO_SLOT: u32 = u32::MAX;

impl Slots {
    fn new(tensor: &Tensor) -> Self {
        let cells: Vec<(i64, i64)> = tensor
            .order
            .iter()
            .filter_map(|r| r.prod)
            .map(|c| (c.y, c.x))
            .collect();
        let span = |f: fn(&(i64, i64)) -> i64| {
            (
                cells.iter().map(f).min().unwrap_or(0),
                cells.iter().map(f).max().unwrap_or(0),
            )
        };
        let ((y0, y1), (x0, x1)) = (span(|c| c.0), span(|c| c.1));
        let width = x1 - x0 + 1;
        let mut slots = Slots {
            y0,
            x0,
            width,
            by_cell: vec![NO_SLOT; ((y1 - y0 + 1) * width) as usize],
            count: 0,
        };
        for (y, x) in cells {
            let index = ((y - y0) * width + x - x0) as usize;
            if slots.by_cell[index] == NO_SLOT {
                slots.by_cell[index] = slots.count as u32;
                slots.count += 1;
            }
        }
        slots
    }

    fn get(&self, y: i64, x: i64) -> Option<usize> {
        let (y, x) = (y - self.y0, x - self.x0);
        if x < 0 || x >= self.width || y < 0 {
            return None;
        }
        let slot = *self.by_cell.get((y * self.width + x) as usize)?;
        (slot != NO_SLOT).then_some(slot as usize)
    }
}

/// Runs the model over the layout's rows.
pub(super) fn run(layout: &Layout, inputs: &[Vec<i64>]) -> Result<Vec<Cells>, WitnessError> {
    let model = &layout.model;
    if inputs.len() != model.inputs.len() {
        return Err(WitnessError::Inputs {
            expected: model.inputs.len(),
            got: inputs.len(),
        });
    }
    let place: HashMap<usize, usize> = layout
        .tensors
        .iter()
        .enumerate()
        .map(|(i, t)| (t.node, i))
        .collect();
    let mut chunks: Vec<Vec<&Chunk>> = vec![Vec::new(); layout.tensors.len()];
    layout.chunks.iter().for_each(|c| chunks[c.tensor].push(c));
    let slots: Vec<Slots> = layout.tensors.iter().map(Slots::new).collect();
    let range = |t: usize| layout.tensors[t].range_p(&layout.profile);
    let mut sums: Vec<Vec<i64>> = Vec::new();
    for (i, tensor) in layout.tensors.iter().enumerate() {
        let produced = matches!(model.nodes[tensor.node].kind, Kind::Linear(_));
        sums.push(if produced {
            vec![0; slots[i].count * range(i)]
        } else {
            Vec::new()
        });
    }
    let mut out: Vec<Cells> = layout.tensors.iter().map(|_| Cells::default()).collect();
    for (id, node) in model.nodes.iter().enumerate() {
        let index = place[&id];
        let tensor = &layout.tensors[index];
        out[index] = match &node.kind {
            Kind::Input { lo, hi } => {
                let port = model.inputs.iter().position(|p| p.node == id).unwrap_or(0);
                let values = &inputs[port];
                let name = || model.inputs[port].name.clone();
                if values.len() != node.shape.len() {
                    let expected = node.shape.len();
                    return Err(WitnessError::Length {
                        name: name(),
                        expected,
                        got: values.len(),
                    });
                }
                if let Some((element, value)) = values
                    .iter()
                    .enumerate()
                    .find(|(_, v)| !(lo..=hi).contains(v))
                {
                    return Err(WitnessError::Range {
                        name: name(),
                        value: *value,
                        element,
                        lo: *lo,
                        hi: *hi,
                    });
                }
                input_cells(layout, tensor, values)
            }
            Kind::Linear(linear) => {
                let sums = std::mem::take(&mut sums[index]);
                linear_cells(layout, tensor, linear, &slots[index], &sums)?
            }
        };
        scatter(
            layout,
            tensor,
            &chunks[index],
            &out[index].c,
            &slots,
            &mut sums,
        )?;
    }
    Ok(out)
}

/// Adds what a tensor's consumed values contribute to the accumulators of its readers.
fn scatter(
    layout: &Layout,
    tensor: &Tensor,
    chunks: &[&Chunk],
    values: &[i64],
    slots: &[Slots],
    sums: &mut [Vec<i64>],
) -> Result<(), WitnessError> {
    let lanes = layout.profile.lanes;
    let mut by_plane: Vec<Vec<(usize, i64, i64)>> = vec![Vec::new(); tensor.cons_planes];
    for (i, row) in tensor
        .order
        .iter()
        .enumerate()
        .filter(|(_, r)| r.at.is_some())
    {
        if let Some(c) = row.cons {
            by_plane[c.plane].push((i, c.y, c.x));
        }
    }
    let ones: Vec<(usize, i64, i64)> = tensor
        .order
        .iter()
        .filter(|r| r.one)
        .filter_map(|r| r.cons)
        .map(|c| (usize::MAX, c.y, c.x))
        .collect();
    for chunk in chunks {
        let (positions, group, lane) = match chunk.source {
            None => (&ones, 0, 0),
            Some((plane, channel)) => (&by_plane[plane], channel / lanes, channel % lanes),
        };
        for tap in &chunk.taps {
            let range = layout.tensors[tap.to].range_p(&layout.profile);
            let sum = &mut sums[tap.to];
            for &(position, y, x) in positions {
                let value = if position == usize::MAX {
                    1
                } else {
                    values[cell_index(tensor, lanes, group, position) + lane]
                };
                if value == 0 {
                    continue;
                }
                let slot = slots[tap.to]
                    .get(y + tap.shift.0, x + tap.shift.1)
                    .ok_or_else(|| no_cell(layout, &layout.tensors[tap.to]))?;
                for (offset, weight) in &tap.weights {
                    sum[slot * range + *offset as usize] += value * weight;
                }
            }
        }
    }
    Ok(())
}

fn no_cell(layout: &Layout, tensor: &Tensor) -> WitnessError {
    WitnessError::NoCell {
        node: layout.model.nodes[tensor.node].name.clone(),
    }
}

fn empty(layout: &Layout, tensor: &Tensor) -> Cells {
    let len = tensor.groups * tensor.order.len() * layout.profile.lanes;
    Cells {
        a: vec![0; len],
        b: vec![0; len],
        c: vec![0; len],
        public: vec![0; len],
        lookup: vec![0; len],
    }
}

fn input_cells(layout: &Layout, tensor: &Tensor, values: &[i64]) -> Cells {
    let mut cells = empty(layout, tensor);
    let (lanes, shape) = (layout.profile.lanes, layout.model.nodes[tensor.node].shape);
    for group in 0..tensor.groups {
        for (position, row) in tensor.order.iter().enumerate() {
            let Some((n, y, x)) = row.at else { continue };
            for lane in 0..lanes {
                let c = group * lanes + lane;
                let v = if c < shape.c {
                    values[((n * shape.c + c) * shape.h + y) * shape.w + x]
                } else {
                    0
                };
                let i = cell_index(tensor, lanes, group, position) + lane;
                (cells.a[i], cells.c[i], cells.public[i]) = (v, v, v);
                cells.lookup[i] = layout
                    .tables
                    .look_up(tensor.tag, v)
                    .map_or(0, |(_, row)| row as u32);
            }
        }
    }
    cells
}

fn linear_cells(
    layout: &Layout,
    tensor: &Tensor,
    linear: &Linear,
    slots: &Slots,
    sums: &[i64],
) -> Result<Cells, WitnessError> {
    let mut cells = empty(layout, tensor);
    let lanes = layout.profile.lanes;
    let range = tensor.range_p(&layout.profile);
    let shift = if linear.requantize {
        layout.model.shift
    } else {
        0
    };
    let mut maximum = vec![0i64; lanes];
    for group in 0..tensor.groups {
        for position in tensor.walk(group) {
            let row = &tensor.order[position];
            let Some(prod) = row.prod else { continue };
            let slot = slots
                .get(prod.y, prod.x)
                .ok_or_else(|| no_cell(layout, tensor))?;
            let offset = slot * range + tensor.offset_p(group, prod.plane, lanes);
            let window = row.window.map(|(i, len)| {
                if tensor.alternate && group % 2 == 1 {
                    len - 1 - i
                } else {
                    i
                }
            });
            for lane in 0..lanes {
                let y = sums[offset + lane];
                let i = cell_index(tensor, lanes, group, position) + lane;
                if linear.table == Table::Raw {
                    cells.public[i] = y;
                }
                if linear.table == Table::Raw || row.cons.is_none() {
                    cells.b[i] = y;
                    continue;
                }
                let x = y >> shift;
                if linear.requantize {
                    cells.b[i] = y - (x << shift);
                }
                let (a, tag) = match window {
                    None => (x, tensor.tag),
                    Some(0) => {
                        maximum[lane] = 0;
                        (x, tensor.first_tag)
                    }
                    Some(_) => (x - maximum[lane], tensor.tag),
                };
                let Some((c, row)) = layout.tables.look_up(tag, a) else {
                    let node = layout.model.nodes[tensor.node].name.clone();
                    return Err(WitnessError::OutsideTable { node, value: a });
                };
                maximum[lane] += c;
                (cells.a[i], cells.c[i], cells.lookup[i]) = (a, c, row as u32);
            }
        }
    }
    Ok(cells)
}
