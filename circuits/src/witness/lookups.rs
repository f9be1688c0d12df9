//! Phase 1 by row: lanes, lookups and their multiplicities, public values.

use std::collections::HashMap;

use super::values::{Cells, cell_index};
use super::{Witness, hash};
use crate::layout::Layout;
use crate::model::NodeId;
use crate::profile::fixed;

/// Lays the tensors' cells out in the rows of the layout.
pub(super) fn lay_out(layout: &Layout, tensors: Vec<Cells>) -> Witness {
    let p = &layout.profile;
    let rows = layout.rows.len();
    let mut lanes = vec![vec![0i64; rows]; p.m().start];
    let mut lookups = vec![vec![0u32; rows]; p.lookups()];
    let mut multiplicities = vec![0u64; layout.tables.rows()];
    for (row, cell) in layout.rows.iter().enumerate() {
        let Some(cell) = cell else { continue };
        let tensor = &layout.tensors[cell.tensor as usize];
        let cells = &tensors[cell.tensor as usize];
        let first = cell_index(tensor, p.lanes, cell.group as usize, cell.position as usize);
        let looked_up = layout.fixed[fixed::CONSUME].get(row) == Some(&1);
        for lane in 0..p.lanes {
            lanes[p.a().start + lane][row] = cells.a[first + lane];
            lanes[p.c().start + lane][row] = cells.c[first + lane];
            let b = cells.b[first + lane];
            if looked_up {
                lookups[lane][row] = cells.lookup[first + lane];
                multiplicities[cells.lookup[first + lane] as usize] += 1;
                for limb in 0..p.limbs {
                    let value = layout.limb(b, limb);
                    let at = layout
                        .tables
                        .limb_row(value)
                        .expect("limbs are in range by construction");
                    lanes[p.b(limb).start + lane][row] = value;
                    lookups[p.b(limb).start + lane][row] = at as u32;
                    multiplicities[at] += 1;
                }
            } else {
                lanes[p.b(0).start + lane][row] = b;
            }
        }
    }
    let mut instance = vec![vec![0i64; layout.instance_rows()]; p.lanes];
    let mut outputs: Vec<Vec<i64>> = layout
        .model
        .outputs
        .iter()
        .map(|o| vec![0; layout.model.nodes[o.node].shape.len()])
        .collect();
    let mut inputs: Vec<Vec<i64>> = layout
        .model
        .inputs
        .iter()
        .map(|i| vec![0; layout.model.nodes[i.node].shape.len()])
        .collect();
    let mut ports: HashMap<NodeId, &mut Vec<i64>> = HashMap::new();
    ports.extend(
        layout
            .model
            .outputs
            .iter()
            .map(|p| p.node)
            .zip(&mut outputs),
    );
    ports.extend(layout.model.inputs.iter().map(|p| p.node).zip(&mut inputs));
    for (tensor, cells) in layout.tensors.iter().zip(&tensors) {
        let Some(values) = ports.get_mut(&tensor.node) else {
            continue;
        };
        let shape = layout.model.nodes[tensor.node].shape;
        for (position, row) in tensor.order.iter().enumerate() {
            let Some((n, y, x)) = row.at else { continue };
            for c in 0..shape.c {
                let i = cell_index(tensor, p.lanes, c / p.lanes, position) + c % p.lanes;
                values[((n * shape.c + c) * shape.h + y) * shape.w + x] = cells.public[i];
            }
        }
    }
    let value = |port: usize, element: usize| {
        port.checked_sub(outputs.len())
            .map_or_else(|| outputs[port][element], |input| inputs[input][element])
    };
    for public in &layout.public {
        instance[public.lane][public.row] = value(public.port, public.element);
    }
    let (hash, digests) = hash::run(layout, value);
    let consumed = tensors.into_iter().map(|t| t.c).collect();
    Witness {
        lanes,
        multiplicities,
        lookups,
        instance,
        hash,
        digests,
        outputs,
        consumed,
    }
}
