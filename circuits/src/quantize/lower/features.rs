//! Inputs whose elements are features of different units.
//!
//! A feature that the model only compares with constants `t_0 < t_1 < ...` enters as the number of them below it:
//! `x ≤ t_k` holds exactly where that number is at most `k`, for every `f32`, so that no comparison is approximated.
//! Any other feature has a scale of its own, since one step for millimetres and for years would fit neither.

use super::{Lowering, scales::Grid, value::Dims};
use crate::{
    graph::{NodeId, Op},
    model::Encoding,
};

/// The integers of an input.
pub(super) struct Encoded {
    pub(super) grid: Grid,
    /// One a channel.
    pub(super) scales: Vec<f64>,
    /// One an element, empty where there is one scale for all.
    pub(super) encodings: Vec<Encoding>,
}

impl Lowering<'_> {
    /// How an input is quantized.
    pub(super) fn encoded(&self, id: NodeId, dims: Dims) -> Encoded {
        let range = &self.ranges[id];
        if let Some(edges) = self.edges_of(id) {
            let bins = edges.iter().map(Vec::len).max().unwrap_or(0);
            return Encoded {
                grid: Grid {
                    lo: 0,
                    hi: bins.max(1) as i64,
                },
                scales: vec![1.0; dims.0],
                encodings: edges.into_iter().map(Encoding::Edges).collect(),
            };
        }
        if let Some(grid) = self.graph.input_grid(id) {
            let (lo, hi) = grid.ends();
            return Encoded {
                grid: Grid { lo, hi },
                scales: vec![f64::from(grid.scale); dims.0],
                encodings: Vec::new(),
            };
        }
        let (lo, hi) = range.overall();
        let bits = self.width(self.name(id));
        if let Op::Whole {
            lo: least,
            hi: most,
        } = self.graph.nodes[id].op
        {
            let whole = Grid::whole(bits, (least, most), (lo, hi));
            if whole.holds((lo, hi)) {
                return Encoded {
                    grid: whole,
                    scales: vec![1.0; dims.0],
                    encodings: Vec::new(),
                };
            }
        }
        let grid = Grid::new(bits, lo);
        if self.graph.tabular && self.graph.nodes[id].shape.len() == 2 && dims.0 > 1 {
            let scales: Vec<f64> = (0..dims.0)
                .map(|feature| grid.scale(range.of(feature..feature + 1)))
                .collect();
            let encodings = scales.iter().copied().map(Encoding::Scale).collect();
            return Encoded {
                grid,
                scales,
                encodings,
            };
        }
        Encoded {
            grid,
            scales: vec![grid.scale((lo, hi)); dims.0],
            encodings: Vec::new(),
        }
    }

    /// The thresholds of each element of an input, ascending, where nothing reads it but comparisons.
    fn edges_of(&self, id: NodeId) -> Option<Vec<Vec<f32>>> {
        if !self.is_only_compared(id) {
            return None;
        }
        let mut edges = vec![Vec::new(); self.graph.item_len(id)];
        for node in &self.graph.nodes {
            let Op::AtMost(thresholds) = &node.op else {
                continue;
            };
            for (element, &threshold) in thresholds.iter().enumerate() {
                let (source, feature) = self.origin(node.inputs[0], element);
                if source == id && threshold.is_finite() {
                    edges[feature].push(threshold);
                }
            }
        }
        for edges in &mut edges {
            edges.sort_unstable_by(f32::total_cmp);
            // Equality joins the two zeros.
            edges.dedup();
        }
        Some(edges)
    }

    /// True where every reader compares, perhaps after moving elements, and no output shows the tensor.
    fn is_only_compared(&self, id: NodeId) -> bool {
        let compares = |reader: (usize, &crate::graph::Node)| match reader.1.op {
            Op::AtMost(_) => true,
            Op::Rearrange(_) => self.is_only_compared(reader.0),
            _ => false,
        };
        let mut readers = self
            .graph
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.inputs.contains(&id))
            .peekable();
        readers.peek().is_some()
            && readers.all(compares)
            && self.graph.outputs.iter().all(|output| output.node != id)
    }

    /// The element, and the tensor other than a rearrangement, that an element of a tensor is.
    fn origin(&self, mut id: NodeId, mut element: usize) -> (NodeId, usize) {
        while let Op::Rearrange(cells) = &self.graph.nodes[id].op {
            let Some((input, from)) = cells[element] else {
                break;
            };
            id = self.graph.nodes[id].inputs[input as usize];
            element = from as usize;
        }
        (id, element)
    }
}
