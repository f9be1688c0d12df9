//! Which tensors hold integers of a known grid.

use super::{Graph, Grid, NodeId, Op, PoolKind, QuantizedOp};

impl Graph {
    /// The grid that all elements of a node's tensor lie on, where there is one.
    pub fn grid(&self, id: NodeId) -> Option<Grid> {
        let node = &self.nodes[id];
        match &node.op {
            Op::Quantized(quantized) => Some(quantized.to),
            Op::Pool(pool) if pool.kind == PoolKind::Max && pool.window.kernel != (1, 1) => {
                self.grid(node.inputs[0])
            }
            Op::Rearrange(_) => {
                let mut grids = node.inputs.iter().map(|&input| self.grid(input));
                let first = grids.next()??;
                grids.all(|grid| grid == Some(first)).then_some(first)
            }
            _ => None,
        }
    }

    /// The grid that an input is quantized to before anything else happens to it, moves aside.
    pub fn input_grid(&self, input: NodeId) -> Option<Grid> {
        let mut found = None;
        let mut moved = vec![input];
        while let Some(at) = moved.pop() {
            if self.outputs.iter().any(|output| output.node == at) {
                return None;
            }
            let readers = (0..self.nodes.len()).filter(|&id| self.nodes[id].inputs.contains(&at));
            for id in readers {
                match &self.nodes[id].op {
                    Op::Rearrange(_) => moved.push(id),
                    Op::Quantized(q) if q.op == QuantizedOp::Round => {
                        if q.clip != q.to.ends() || *found.get_or_insert(q.to) != q.to {
                            return None;
                        }
                    }
                    _ => return None,
                }
            }
        }
        found
    }

    /// True where a rounded tensor is one of inputs that are quantized to its grid at once.
    pub fn is_input_on_grid(&self, id: NodeId, grid: Grid) -> bool {
        let node = &self.nodes[id];
        match &node.op {
            Op::Input => self.input_grid(id) == Some(grid),
            Op::Rearrange(_) => node.inputs.iter().all(|&i| self.is_input_on_grid(i, grid)),
            _ => false,
        }
    }

    /// True where everything is integers from the inputs on, so that nothing is left to calibrate.
    pub fn is_exact(&self) -> bool {
        (0..self.nodes.len()).all(|id| {
            let node = &self.nodes[id];
            match &node.op {
                Op::Input => self.input_grid(id).is_some(),
                Op::Quantized(q) if q.op == QuantizedOp::Round => {
                    self.is_input_on_grid(node.inputs[0], q.to)
                }
                Op::Quantized(_) => true,
                Op::ArgMax { .. } => self.grid(node.inputs[0]).is_some(),
                Op::Rearrange(_) => node.inputs.iter().all(|&input| {
                    self.grid(input).is_some()
                        || matches!(self.nodes[input].op, Op::ArgMax { .. })
                        || self
                            .input_grid(input)
                            .is_some_and(|grid| self.is_input_on_grid(input, grid))
                }),
                _ => self.grid(id).is_some(),
            }
        })
    }
}
