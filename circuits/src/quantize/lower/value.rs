//! Graph tensors as views of integer tensors, so that moving elements costs nothing.

/// Index of a part: an integer tensor of the model, or one that is still being assembled.
pub(super) type PartId = usize;

/// `(index into Value::parts, element of that part's item)`; `None` is a zero.
pub(super) type Cell = Option<(u32, u32)>;

/// `(channels, height, width)` of an item.
pub(super) type Dims = (usize, usize, usize);

/// Elements of an item.
pub(super) fn len(dims: Dims) -> usize {
    dims.0 * dims.1 * dims.2
}

/// A graph tensor: its logical element `i` is `cells[i]`.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) parts: Vec<PartId>,
    pub(super) cells: Vec<Cell>,
}

/// Consecutive channels of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Index into [`Value::parts`].
    pub(super) part: usize,
    /// First channel.
    pub(super) channel: usize,
    /// Channels.
    pub(super) count: usize,
}

impl Value {
    /// A part as it is.
    pub(super) fn whole(part: PartId, len: usize) -> Value {
        Value {
            parts: vec![part],
            cells: (0..len as u32).map(|e| Some((0, e))).collect(),
        }
    }

    /// Forgets parts that no cell reads.
    pub(super) fn prune(&mut self) {
        let mut renamed = vec![None; self.parts.len()];
        let mut kept = Vec::new();
        for cell in self.cells.iter_mut().flatten() {
            let old = cell.0 as usize;
            let new = *renamed[old].get_or_insert_with(|| {
                kept.push(self.parts[old]);
                kept.len() as u32 - 1
            });
            cell.0 = new;
        }
        self.parts = kept;
    }

    /// The cells, reordered: new element `i` is old element `order(i)`.
    pub(super) fn reordered(&self, len: usize, order: impl Fn(usize) -> usize) -> Value {
        Value {
            parts: self.parts.clone(),
            cells: (0..len).map(|i| self.cells[order(i)]).collect(),
        }
    }

    /// True where every element of its only part is read exactly once.
    pub(super) fn is_bijective(&self, part_len: usize) -> bool {
        if self.parts.len() != 1 || self.cells.len() != part_len {
            return false;
        }
        let mut seen = vec![false; part_len];
        self.cells
            .iter()
            .all(|cell| cell.is_some_and(|(_, e)| !std::mem::replace(&mut seen[e as usize], true)))
    }

    /// The value as whole channels of its parts, where it is that: logical channel by logical channel, each of
    /// `plane` elements. `dims` gives the dimensions of each part.
    pub(super) fn runs(&self, plane: usize, dims: &[Dims]) -> Option<Vec<Run>> {
        let mut runs: Vec<Run> = Vec::new();
        for channel in self.cells.chunks_exact(plane) {
            let (part, first) = channel[0]?;
            let of = dims[part as usize];
            if of.1 * of.2 != plane || !(first as usize).is_multiple_of(plane) {
                return None;
            }
            if !channel
                .iter()
                .zip(first..)
                .all(|(&cell, e)| cell == Some((part, e)))
            {
                return None;
            }
            let (part, source) = (part as usize, first as usize / plane);
            match runs.last_mut() {
                Some(run) if run.part == part && run.channel + run.count == source => {
                    run.count += 1
                }
                _ => runs.push(Run {
                    part,
                    channel: source,
                    count: 1,
                }),
            }
        }
        Some(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_join_neighbouring_channels() {
        let mut cells: Vec<Cell> = (4..8).map(|e| Some((0, e))).collect();
        cells.extend((0..2).map(|e| Some((1, e))));
        let value = Value {
            parts: vec![7, 9],
            cells,
        };
        let dims = [(4, 1, 2), (1, 1, 2)];
        let runs = value.runs(2, &dims).unwrap();
        assert_eq!(
            runs,
            [
                Run {
                    part: 0,
                    channel: 2,
                    count: 2
                },
                Run {
                    part: 1,
                    channel: 0,
                    count: 1
                }
            ]
        );
        assert_eq!(value.reordered(6, |i| i ^ 1).runs(2, &dims), None);
    }

    #[test]
    fn pruning_renumbers_parts() {
        let mut value = Value {
            parts: vec![5, 6],
            cells: vec![Some((1, 0)), None],
        };
        value.prune();
        assert_eq!(
            (value.parts, value.cells),
            (vec![6], vec![Some((0, 0)), None])
        );
    }
}
