//! Linear combinations of columns, taken out of a program before anything is transformed.
//!
//! A subexpression that is linear in columns at one rotation is a polynomial of degree below `n`, given on the
//! domain by the same combination of the columns' values there. It is summed first and transformed once:
//! a dot product of `w` columns with challenges costs one transform, not `w`.

use std::collections::{BTreeMap, HashMap, HashSet};

use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;

use super::plan::{Builder, Operand, Operator, Plan, Query, Source};

/// `Σ factor·column + constant`, in every row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Combination {
    pub(crate) members: Vec<(Source, Fr)>,
    pub(crate) constant: Fr,
}

/// A node that is linear at one rotation.
#[derive(Clone)]
struct Linear {
    rotation: Option<i32>,
    terms: BTreeMap<Source, Fr>,
    constant: Fr,
}

impl Linear {
    fn constant(constant: Fr) -> Self {
        Self {
            rotation: None,
            terms: BTreeMap::new(),
            constant,
        }
    }

    fn sum(&self, other: &Self, sign: Fr) -> Option<Self> {
        let rotation = match (self.rotation, other.rotation) {
            (Some(a), Some(b)) if a != b => return None,
            (a, b) => a.or(b),
        };
        let mut terms = self.terms.clone();
        for (source, factor) in &other.terms {
            *terms.entry(*source).or_insert(Fr::ZERO) += sign * factor;
        }
        Some(Self {
            rotation,
            terms,
            constant: self.constant + sign * other.constant,
        })
    }

    fn scaled(&self, factor: Fr) -> Self {
        let terms = self.terms.iter().map(|(s, f)| (*s, *f * factor)).collect();
        Self {
            rotation: self.rotation,
            terms,
            constant: self.constant * factor,
        }
    }
}

/// Rewrites the program of `root` over combinations, [`Source::Virtual`] in the plan.
/// A combination is taken only where it saves transforms.
pub(crate) fn extract(builder: &Builder, root: Operand) -> (Plan, Vec<Combination>) {
    let linear = linear_nodes(builder);
    let anchors = anchors(builder, &linear);
    // Columns that are needed on their own; a combination of little else than these saves nothing.
    let mut alone: HashSet<Source> = HashSet::new();
    loop {
        let mut rewriting = Rewriting::new(builder, &linear, &anchors, &alone);
        let new_root = rewriting.emit(root);
        let needed: HashSet<Source> = rewriting
            .out
            .queries
            .iter()
            .map(|q| q.source)
            .filter(|s| !matches!(s, Source::Virtual(_)))
            .collect();
        if needed.is_subset(&alone) {
            return (rewriting.out.finish(new_root), rewriting.combinations);
        }
        alone.extend(needed);
    }
}

fn linear_nodes(builder: &Builder) -> Vec<Option<Linear>> {
    let mut out: Vec<Option<Linear>> = Vec::with_capacity(builder.nodes.len());
    for (operator, a, b) in &builder.nodes {
        let operand = |operand: &Operand| -> Option<Linear> {
            match operand {
                Operand::Constant(i) => Some(Linear::constant(builder.constants[*i])),
                Operand::Query(i) => {
                    let Query { source, rotation } = builder.queries[*i];
                    let combinable = matches!(
                        source,
                        Source::Advice(_) | Source::Fixed(_) | Source::Instance(_)
                    );
                    combinable.then(|| Linear {
                        rotation: Some(rotation),
                        terms: BTreeMap::from([(source, Fr::ONE)]),
                        constant: Fr::ZERO,
                    })
                }
                Operand::Node(i) => out[*i].clone(),
            }
        };
        let (a, b) = (operand(a), operand(b));
        let node = match (operator, a, b) {
            (Operator::Add, Some(a), Some(b)) => a.sum(&b, Fr::ONE),
            (Operator::Sub, Some(a), Some(b)) => a.sum(&b, -Fr::ONE),
            (Operator::Mul, Some(a), Some(b)) if a.terms.is_empty() => Some(b.scaled(a.constant)),
            (Operator::Mul, Some(a), Some(b)) if b.terms.is_empty() => Some(a.scaled(b.constant)),
            _ => None,
        };
        out.push(node);
    }
    out
}

fn anchors(builder: &Builder, linear: &[Option<Linear>]) -> HashSet<usize> {
    let nonlinear = builder
        .nodes
        .iter()
        .zip(linear)
        .filter(|(_, l)| l.is_none());
    nonlinear
        .flat_map(|((_, a, b), _)| [*a, *b])
        .filter_map(|operand| match operand {
            Operand::Node(i) if linear[i].is_some() => Some(i),
            _ => None,
        })
        .collect()
}

struct Rewriting<'a> {
    builder: &'a Builder,
    linear: &'a [Option<Linear>],
    /// Nodes that some nonlinear operation reads: these are columns of their own.
    anchors: &'a HashSet<usize>,
    alone: &'a HashSet<Source>,
    out: Builder,
    done: HashMap<usize, Operand>,
    combinations: Vec<Combination>,
    index: HashMap<(Vec<(Source, Fr)>, Fr), usize>,
}

impl<'a> Rewriting<'a> {
    fn new(
        builder: &'a Builder,
        linear: &'a [Option<Linear>],
        anchors: &'a HashSet<usize>,
        alone: &'a HashSet<Source>,
    ) -> Self {
        Self {
            builder,
            linear,
            anchors,
            alone,
            out: Builder::default(),
            done: HashMap::new(),
            combinations: vec![],
            index: HashMap::new(),
        }
    }

    fn emit(&mut self, operand: Operand) -> Operand {
        match operand {
            Operand::Constant(i) => self.out.constant(self.builder.constants[i]),
            Operand::Query(i) => {
                let Query { source, rotation } = self.builder.queries[i];
                self.out.query(source, rotation)
            }
            Operand::Node(i) => {
                if let Some(done) = self.done.get(&i) {
                    return *done;
                }
                let emitted = self.combination(i).unwrap_or_else(|| {
                    let (operator, a, b) = self.builder.nodes[i];
                    let (a, b) = (self.emit(a), self.emit(b));
                    match operator {
                        Operator::Add => self.out.add(a, b),
                        Operator::Sub => self.out.sub(a, b),
                        Operator::Mul => self.out.mul(a, b),
                    }
                });
                self.done.insert(i, emitted);
                emitted
            }
        }
    }

    /// The node as a combination, where that saves at least one transform.
    fn combination(&mut self, node: usize) -> Option<Operand> {
        let linear = self.linear[node].as_ref()?;
        let (operator, a, b) = self.builder.nodes[node];
        let anchor = |operand| matches!(operand, Operand::Node(i) if self.anchors.contains(&i));
        if operator != Operator::Mul && anchor(a) && anchor(b) {
            return None;
        }
        let members: Vec<(Source, Fr)> = linear
            .terms
            .iter()
            .filter(|(_, f)| **f != Fr::ZERO)
            .map(|(s, f)| (*s, *f))
            .collect();
        let saved = members
            .iter()
            .filter(|(s, _)| !self.alone.contains(s))
            .count();
        if saved < 2 {
            return None;
        }
        let constant = linear.constant;
        let next = self.combinations.len();
        let index = *self
            .index
            .entry((members.clone(), constant))
            .or_insert(next);
        if index == next {
            self.combinations.push(Combination { members, constant });
        }
        Some(
            self.out
                .query(Source::Virtual(index), linear.rotation.unwrap_or(0)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_products_become_one_column() {
        let mut b = Builder::default();
        let columns: Vec<Operand> = (0..4).map(|i| b.query(Source::Advice(i), 1)).collect();
        let factor = b.constant(Fr::from(3));
        let mut sum = columns[0];
        for column in &columns[1..] {
            let scaled = b.mul(sum, factor);
            sum = b.add(scaled, *column);
        }
        let other = b.query(Source::Fixed(0), 0);
        let root = b.mul(sum, other);
        let (plan, combinations) = extract(&b, root);
        assert_eq!(combinations.len(), 1);
        assert_eq!(combinations[0].members.len(), 4);
        assert_eq!(
            combinations[0].members[0],
            (Source::Advice(0), Fr::from(27))
        );
        assert_eq!(plan.queries().len(), 2);
    }

    #[test]
    fn columns_needed_alone_are_not_combined() {
        let mut b = Builder::default();
        let (x, y) = (b.query(Source::Advice(0), 0), b.query(Source::Advice(1), 0));
        let sum = b.add(x, y);
        let square = b.mul(sum, x);
        let root = b.mul(square, y);
        let (plan, combinations) = extract(&b, root);
        assert_eq!(combinations, []);
        assert_eq!(plan.queries().len(), 2);
    }
}
