//! ArgMax as integer nodes, so that the circuit proves the index.
//!
//! With `T` scores `x_j` and a rank `r_j = T-1-j` (`j` where the last of equals wins):
//!
//! ```text
//! top   = max_j x_j                     a pool over one window of T
//! tie_j = [x_j - top ≥ 0]               1 for every greatest score
//! best  = max_j T·tie_j + r_j           a pool; all different, so that one of them wins
//! hit_j = [T·tie_j + r_j - best ≥ 0]    1 for the winner, 0 for all others
//! index = Σ_j j·hit_j                   the raw output
//! ```
//!
//! Two steps, so that no table grows with the product of scores and classes.

use super::{
    Lowering, Part, PartId, Tensor,
    emit::copy,
    value::{Value, len},
};
use crate::{
    graph::NodeId,
    model::{self, Kind, Linear, MaxPool, Op, Table, Term},
    quantize::QuantizeError,
};

/// Scores keep at least this many bits: a coarser grid makes ties of what was none.
const SCORE_BITS: u32 = 12;

impl Lowering<'_> {
    /// Lowers an ArgMax; the value's part is the index node.
    pub(super) fn argmax(&mut self, id: NodeId, last: bool) -> Result<Value, QuantizeError> {
        let mut value = self.operand(id, 0);
        let classes = value.cells.len();
        let name = self.name(id).to_owned();
        let direct = value
            .parts
            .first()
            .is_some_and(|&p| value.is_bijective(len(self.dims(p))));
        if !direct {
            value = self.laid_out(&name, &value, (classes, 1, 1))?;
        }
        let scores = self.uniform_scores(value.parts[0]);
        let source = self.tensors[scores].node;
        let rank = |j: usize| if last { j } else { classes - 1 - j } as i64;
        let ranks: Vec<i64> = (0..classes).map(rank).collect();
        // The scores in the order of their classes.
        let place = |(j, cell): (usize, &super::value::Cell)| cell.map(|(_, e)| (j as u32, e, 1));
        let entries: Vec<_> = value.cells.iter().enumerate().filter_map(place).collect();
        let ordered = |out| Term {
            source,
            channel: 0,
            op: Op::Map {
                out,
                entries: entries.clone(),
            },
        };
        let (line, column) = ((1, 1, classes), (classes, 1, 1));

        let top = self.greatest(format!("{name}.top"), ordered(line), vec![0]);
        let tie = self.reaches(
            format!("{name}.tie"),
            ordered(column),
            vec![0; classes],
            top,
        );
        let unit = classes as i64;
        let entries = (0..classes as u32).map(|j| (j, j, unit)).collect();
        let keys = Term {
            source: tie,
            channel: 0,
            op: Op::Map { out: line, entries },
        };
        let best = self.greatest(format!("{name}.best"), keys, ranks.clone());
        let hit = self.reaches(
            format!("{name}.hit"),
            copy(tie, 0, classes, unit),
            ranks,
            best,
        );

        let op = Op::Dense {
            out: 1,
            weights: (0..unit).collect(),
        };
        let terms = vec![Term {
            source: hit,
            channel: 0,
            op,
        }];
        let linear = Linear {
            terms,
            bias: vec![0],
            requantize: false,
            pool: None,
            table: Table::Raw,
        };
        let index = self.push(name, (1, 1, 1), Kind::Linear(linear));
        let index = Tensor {
            node: index,
            dims: (1, 1, 1),
            scales: vec![1.0],
            least: 0,
        };
        let tensor = self.tensor(index);
        let part = self.part(Part::Tensor(tensor));
        Ok(Value::whole(part, 1))
    }

    /// The greatest element of a map's output, which is one line.
    fn greatest(&mut self, name: String, term: Term, bias: Vec<i64>) -> model::NodeId {
        let width = if let Op::Map { out, .. } = term.op {
            out.2
        } else {
            1
        };
        let pool = Some(MaxPool {
            kernel: (1, width),
            from_zero: false,
            full: (1, width),
        });
        let linear = Linear {
            terms: vec![term],
            bias,
            requantize: false,
            pool,
            table: Table::Identity,
        };
        self.push(name, (1, 1, 1), Kind::Linear(linear))
    }

    /// 1 where a term plus its bias reaches a maximum, else 0.
    fn reaches(
        &mut self,
        name: String,
        term: Term,
        bias: Vec<i64>,
        max: model::NodeId,
    ) -> model::NodeId {
        let classes = bias.len();
        let op = Op::Dense {
            out: classes,
            weights: vec![-1; classes],
        };
        let terms = vec![
            term,
            Term {
                source: max,
                channel: 0,
                op,
            },
        ];
        let table = Table::Lut {
            lo: -1,
            values: vec![0, 1],
        };
        let linear = Linear {
            terms,
            bias,
            requantize: false,
            pool: None,
            table,
        };
        self.push(name, (classes, 1, 1), Kind::Linear(linear))
    }

    /// The scores on one grid: integers that exist already as they are, else finer ones.
    fn uniform_scores(&mut self, part: PartId) -> usize {
        let bits = self.options.bits.max(SCORE_BITS);
        if let Part::Pending(pending) = &self.parts[part] {
            let pending = pending.as_ref().clone();
            return self.emit_with(pending, bits);
        }
        let index = self.force(part);
        let scales = &self.tensors[index].scales;
        if scales.iter().all(|s| s == &scales[0]) {
            return index;
        }
        let pending = self.identity(part);
        self.emit_with(pending, bits)
    }

    /// The index node, where a value is the result of an ArgMax.
    pub(super) fn index_node(&self, value: &Value) -> Option<model::NodeId> {
        let [part] = value.parts[..] else { return None };
        let Part::Tensor(tensor) = self.parts[part] else {
            return None;
        };
        let node = self.tensors.get(tensor)?.node;
        let raw = |kind: &Kind| matches!(kind, Kind::Linear(linear) if linear.table == Table::Raw);
        raw(&self.model.nodes[node].kind).then_some(node)
    }
}
