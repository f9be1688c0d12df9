//! Expressions over columns, compiled for evaluation on many rows.
//!
//! All constraints become one straight-line program: challenges are folded in as constants, equal
//! subexpressions are computed once, and each instruction runs over a block of rows at a time, so that
//! its decoding is paid once a block.

use std::{collections::HashMap, fmt};

use ff::Field;
use halo2_proofs::{halo2curves::bn256::Fr, plonk::Expression};
use rayon::prelude::*;

/// A polynomial that expressions refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Source {
    Advice(usize),
    Fixed(usize),
    Instance(usize),
    /// A running product of the permutation argument, `z_s`.
    Product(usize),
    /// A column of the permutation, `s_j`.
    Sigma(usize),
    /// `l_0`: 1 in the first row.
    First,
    /// `l_last`: 1 in the first row after the usable ones.
    Last,
    /// 1 in the usable rows.
    Active,
    /// The variable itself.
    X,
    /// A linear combination of columns, summed before it is transformed.
    Virtual(usize),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Advice(i) => write!(f, "advice {i}"),
            Self::Fixed(i) => write!(f, "fixed {i}"),
            Self::Instance(i) => write!(f, "instance {i}"),
            Self::Product(i) => write!(f, "product {i}"),
            Self::Sigma(i) => write!(f, "sigma {i}"),
            Self::Virtual(i) => write!(f, "combination {i}"),
            Self::First => f.write_str("first row"),
            Self::Last => f.write_str("last row"),
            Self::Active => f.write_str("usable rows"),
            Self::X => f.write_str("X"),
        }
    }
}

/// A polynomial at a rotation: `p(ω^rotation·X)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Query {
    pub(crate) source: Source,
    pub(crate) rotation: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Operand {
    Constant(usize),
    Query(usize),
    /// A node while building, a register in a finished plan.
    Node(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operator {
    Add,
    Sub,
    Mul,
}

impl Operator {
    fn apply(self, a: Fr, b: Fr) -> Fr {
        match self {
            Self::Add => a + b,
            Self::Sub => a - b,
            Self::Mul => a * b,
        }
    }
}

/// Builds a plan, one operation at a time.
#[derive(Default)]
pub(crate) struct Builder {
    pub(super) constants: Vec<Fr>,
    constant_index: HashMap<Fr, usize>,
    pub(super) queries: Vec<Query>,
    query_index: HashMap<Query, usize>,
    pub(super) nodes: Vec<(Operator, Operand, Operand)>,
    node_index: HashMap<(Operator, Operand, Operand), usize>,
}

impl Builder {
    pub(crate) fn constant(&mut self, value: Fr) -> Operand {
        let index = *self.constant_index.entry(value).or_insert_with(|| {
            self.constants.push(value);
            self.constants.len() - 1
        });
        Operand::Constant(index)
    }

    pub(crate) fn query(&mut self, source: Source, rotation: i32) -> Operand {
        let query = Query { source, rotation };
        let index = *self.query_index.entry(query).or_insert_with(|| {
            self.queries.push(query);
            self.queries.len() - 1
        });
        Operand::Query(index)
    }

    fn value(&self, operand: Operand) -> Option<Fr> {
        match operand {
            Operand::Constant(index) => Some(self.constants[index]),
            _ => None,
        }
    }

    fn node(&mut self, operator: Operator, a: Operand, b: Operand) -> Operand {
        if let (Some(a), Some(b)) = (self.value(a), self.value(b)) {
            return self.constant(operator.apply(a, b));
        }
        let (a, b) = if operator != Operator::Sub && b < a {
            (b, a)
        } else {
            (a, b)
        };
        let node = (operator, a, b);
        let index = *self.node_index.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        });
        Operand::Node(index)
    }

    pub(crate) fn add(&mut self, a: Operand, b: Operand) -> Operand {
        match (self.value(a), self.value(b)) {
            (Some(Fr::ZERO), _) => b,
            (_, Some(Fr::ZERO)) => a,
            _ => self.node(Operator::Add, a, b),
        }
    }

    pub(crate) fn sub(&mut self, a: Operand, b: Operand) -> Operand {
        if self.value(b) == Some(Fr::ZERO) {
            a
        } else {
            self.node(Operator::Sub, a, b)
        }
    }

    pub(crate) fn mul(&mut self, a: Operand, b: Operand) -> Operand {
        match (self.value(a), self.value(b)) {
            (Some(Fr::ZERO), _) | (_, Some(Fr::ONE)) => a,
            (_, Some(Fr::ZERO)) | (Some(Fr::ONE), _) => b,
            _ => self.node(Operator::Mul, a, b),
        }
    }

    /// Adds a circuit's expression, its challenges given.
    pub(crate) fn expression(&mut self, expression: &Expression<Fr>, challenges: &[Fr]) -> Operand {
        match expression {
            Expression::Constant(value) => self.constant(*value),
            Expression::Selector(_) => unreachable!("keys hold selectors as fixed columns"),
            Expression::Fixed(q) => self.query(Source::Fixed(q.column_index()), q.rotation().0),
            Expression::Advice(q) => self.query(Source::Advice(q.column_index()), q.rotation().0),
            Expression::Instance(q) => {
                self.query(Source::Instance(q.column_index()), q.rotation().0)
            }
            Expression::Challenge(challenge) => self.constant(challenges[challenge.index()]),
            Expression::Negated(a) => {
                let (zero, a) = (self.constant(Fr::ZERO), self.expression(a, challenges));
                self.sub(zero, a)
            }
            Expression::Sum(a, b) => {
                let a = self.expression(a, challenges);
                if let Expression::Negated(b) = &**b {
                    let b = self.expression(b, challenges);
                    self.sub(a, b)
                } else {
                    let b = self.expression(b, challenges);
                    self.add(a, b)
                }
            }
            Expression::Product(a, b) => {
                let (a, b) = (
                    self.expression(a, challenges),
                    self.expression(b, challenges),
                );
                self.mul(a, b)
            }
            Expression::Scaled(a, factor) => {
                let (a, factor) = (self.expression(a, challenges), self.constant(*factor));
                self.mul(a, factor)
            }
        }
    }

    /// The plan that computes `root`.
    pub(crate) fn finish(self, root: Operand) -> Plan {
        let mut last_use: Vec<usize> = (0..self.nodes.len()).collect();
        for (i, (_, a, b)) in self.nodes.iter().enumerate() {
            for operand in [a, b] {
                if let Operand::Node(used) = operand {
                    last_use[*used] = i;
                }
            }
        }
        if let Operand::Node(root) = root {
            last_use[root] = usize::MAX;
        }
        // A register is free again after its node's last use; few are live at a time, so that a block of
        // all of them stays in the cache.
        let mut register = vec![0; self.nodes.len()];
        let mut free = vec![];
        let mut registers = 0;
        let mut steps = Vec::with_capacity(self.nodes.len());
        for (i, (operator, a, b)) in self.nodes.iter().enumerate() {
            // Taken before the operands' are freed: an instruction never writes what it reads.
            let target = free.pop().unwrap_or_else(|| {
                registers += 1;
                registers - 1
            });
            register[i] = target;
            let place = |operand: &Operand| match operand {
                Operand::Node(node) => Operand::Node(register[*node]),
                other => *other,
            };
            steps.push(Step {
                operator: *operator,
                a: place(a),
                b: place(b),
                target,
            });
            let mut ended = vec![];
            for operand in [a, b] {
                if let Operand::Node(node) = operand
                    && last_use[*node] == i
                    && !ended.contains(node)
                {
                    ended.push(*node);
                    free.push(register[*node]);
                }
            }
            if last_use[i] == i {
                free.push(target);
            }
        }
        let root = match root {
            Operand::Node(node) => Operand::Node(register[node]),
            other => other,
        };
        Plan {
            constants: self.constants,
            queries: self.queries,
            steps,
            registers,
            root,
        }
    }
}

/// One instruction: the target register becomes `a operator b`.
pub(crate) struct Step {
    pub(crate) operator: Operator,
    pub(crate) a: Operand,
    pub(crate) b: Operand,
    pub(crate) target: usize,
}

/// A program over columns with one result.
pub(crate) struct Plan {
    constants: Vec<Fr>,
    queries: Vec<Query>,
    steps: Vec<Step>,
    registers: usize,
    root: Operand,
}

/// The values of an operand on a block of rows.
#[derive(Clone, Copy)]
enum Values<'a> {
    Constant(Fr),
    Rows(&'a [Fr]),
}

impl Plan {
    /// Rows of a block.
    const BLOCK: usize = 128;

    /// What the plan reads.
    pub(crate) fn queries(&self) -> &[Query] {
        &self.queries
    }

    /// The constants that instructions read.
    pub(crate) fn constants(&self) -> &[Fr] {
        &self.constants
    }

    /// The instructions, in order.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How many registers the instructions use.
    pub(crate) fn registers(&self) -> usize {
        self.registers
    }

    /// The result: a constant, a query, or what a register holds in the end.
    pub(crate) fn root(&self) -> Operand {
        self.root
    }

    /// The polynomials that the plan reads, in order, each once.
    pub(crate) fn sources(&self) -> Vec<Source> {
        let mut sources: Vec<Source> = self.queries.iter().map(|query| query.source).collect();
        sources.sort_unstable();
        sources.dedup();
        sources
    }

    /// How many multiplications, and how many additions and subtractions, a row takes.
    pub(crate) fn operations(&self) -> (usize, usize) {
        let multiplications = self
            .steps
            .iter()
            .filter(|step| step.operator == Operator::Mul)
            .count();
        (multiplications, self.steps.len() - multiplications)
    }

    /// The result in each of `n` rows; `column` gives the values of a source in all rows, and a rotation
    /// by one is a step of `step` rows, cyclically.
    pub(crate) fn evaluate<'c>(
        &self,
        n: usize,
        step: usize,
        column: impl Fn(Source) -> &'c [Fr],
    ) -> Vec<Fr> {
        let columns: Vec<(&[Fr], usize)> = self
            .queries
            .iter()
            .map(|query| {
                let offset =
                    (i64::from(query.rotation) * step as i64).rem_euclid(n as i64) as usize;
                (column(query.source), offset)
            })
            .collect();
        let mut result = vec![Fr::ZERO; n];
        result
            .par_chunks_mut(Self::BLOCK)
            .enumerate()
            .for_each_init(
                || Scratch {
                    registers: vec![vec![Fr::ZERO; Self::BLOCK.min(n)]; self.registers],
                    wrapped: vec![vec![]; columns.len()],
                },
                |scratch, (block, out)| self.run_block(&columns, block * Self::BLOCK, scratch, out),
            );
        result
    }

    fn run_block(
        &self,
        columns: &[(&[Fr], usize)],
        start: usize,
        scratch: &mut Scratch,
        out: &mut [Fr],
    ) {
        let len = out.len();
        for ((column, offset), wrapped) in columns.iter().zip(&mut scratch.wrapped) {
            let n = column.len();
            let first = (start + offset) % n;
            wrapped.clear();
            if first + len > n {
                wrapped.extend((first..first + len).map(|row| column[row % n]));
            }
        }
        let Scratch { registers, wrapped } = scratch;
        for step in &self.steps {
            let mut target = std::mem::take(&mut registers[step.target]);
            let a = self.values(step.a, columns, wrapped, registers, start, len);
            let b = self.values(step.b, columns, wrapped, registers, start, len);
            match step.operator {
                Operator::Add => zip_into(&mut target[..len], a, b, |a, b| a + b),
                Operator::Sub => zip_into(&mut target[..len], a, b, |a, b| a - b),
                Operator::Mul => zip_into(&mut target[..len], a, b, |a, b| a * b),
            }
            registers[step.target] = target;
        }
        match self.values(self.root, columns, wrapped, registers, start, len) {
            Values::Constant(value) => out.fill(value),
            Values::Rows(values) => out.copy_from_slice(values),
        }
    }

    fn values<'s>(
        &self,
        operand: Operand,
        columns: &[(&'s [Fr], usize)],
        wrapped: &'s [Vec<Fr>],
        registers: &'s [Vec<Fr>],
        start: usize,
        len: usize,
    ) -> Values<'s> {
        match operand {
            Operand::Constant(index) => Values::Constant(self.constants[index]),
            Operand::Node(register) => Values::Rows(&registers[register][..len]),
            Operand::Query(index) if !wrapped[index].is_empty() => Values::Rows(&wrapped[index]),
            Operand::Query(index) => {
                let (column, offset) = columns[index];
                let first = (start + offset) % column.len();
                Values::Rows(&column[first..first + len])
            }
        }
    }

    /// The result where the queries have the given values.
    pub(crate) fn evaluate_at(&self, value: impl Fn(&Query) -> Fr) -> Fr {
        let queries: Vec<Fr> = self.queries.iter().map(value).collect();
        let mut registers = vec![Fr::ZERO; self.registers];
        let read = |operand: Operand, registers: &[Fr]| match operand {
            Operand::Constant(index) => self.constants[index],
            Operand::Query(index) => queries[index],
            Operand::Node(register) => registers[register],
        };
        for step in &self.steps {
            let (a, b) = (read(step.a, &registers), read(step.b, &registers));
            registers[step.target] = step.operator.apply(a, b);
        }
        read(self.root, &registers)
    }
}

struct Scratch {
    registers: Vec<Vec<Fr>>,
    /// A query's values in this block, where they run over the last row into the first.
    wrapped: Vec<Vec<Fr>>,
}

fn zip_into(out: &mut [Fr], a: Values<'_>, b: Values<'_>, f: impl Fn(Fr, Fr) -> Fr) {
    match (a, b) {
        (Values::Rows(a), Values::Rows(b)) => {
            out.iter_mut()
                .zip(a)
                .zip(b)
                .for_each(|((out, a), b)| *out = f(*a, *b));
        }
        (Values::Rows(a), Values::Constant(b)) => {
            out.iter_mut().zip(a).for_each(|(out, a)| *out = f(*a, b));
        }
        (Values::Constant(a), Values::Rows(b)) => {
            out.iter_mut().zip(b).for_each(|(out, b)| *out = f(a, *b));
        }
        (Values::Constant(a), Values::Constant(b)) => out.fill(f(a, b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_compute_what_they_say() {
        // ((a·b' - 3)·(a·b') + c_prev)·y + a, on sizes that are smaller and larger than a block.
        let y = Fr::from(11);
        let mut builder = Builder::default();
        let (a, b) = (
            builder.query(Source::Advice(0), 0),
            builder.query(Source::Fixed(0), 1),
        );
        let c = builder.query(Source::Product(0), -1);
        let (three, y_op) = (builder.constant(Fr::from(3)), builder.constant(y));
        let ab = builder.mul(a, b);
        let ba = builder.mul(b, a);
        assert_eq!(ab, ba, "equal products are one node");
        let left = builder.sub(ab, three);
        let product = builder.mul(left, ba);
        let sum = builder.add(product, c);
        let scaled = builder.mul(sum, y_op);
        let root = builder.add(scaled, a);
        let plan = builder.finish(root);
        assert!(plan.registers <= 3, "{} registers", plan.registers);
        for n in [4usize, 512] {
            let column =
                |seed: u64| -> Vec<Fr> { (0..n as u64).map(|i| Fr::from(i * i + seed)).collect() };
            let (ca, cb, cc) = (column(1), column(5), column(9));
            let result = plan.evaluate(n, 1, |source| match source {
                Source::Advice(0) => &ca,
                Source::Fixed(0) => &cb,
                Source::Product(0) => &cc,
                other => panic!("{other:?} is not read"),
            });
            for i in 0..n {
                let (a, b, c) = (ca[i], cb[(i + 1) % n], cc[(i + n - 1) % n]);
                let expected = ((a * b - Fr::from(3)) * (a * b) + c) * y + a;
                assert_eq!(result[i], expected, "row {i} of {n}");
                let at = plan.evaluate_at(|query| match query.source {
                    Source::Advice(_) => a,
                    Source::Fixed(_) => b,
                    _ => c,
                });
                assert_eq!(at, expected);
            }
        }
    }

    #[test]
    fn constants_are_folded() {
        let mut builder = Builder::default();
        let (two, zero) = (builder.constant(Fr::from(2)), builder.constant(Fr::ZERO));
        let one = builder.constant(Fr::ONE);
        let a = builder.query(Source::X, 0);
        assert_eq!(builder.mul(a, one), a);
        assert_eq!(builder.mul(zero, a), zero);
        assert_eq!(builder.add(a, zero), a);
        assert_eq!(builder.sub(a, zero), a);
        let four = builder.mul(two, two);
        let plan = builder.finish(four);
        assert_eq!(plan.evaluate(4, 1, |_| &[Fr::ZERO; 4]), [Fr::from(4); 4]);
    }
}
