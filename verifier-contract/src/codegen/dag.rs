//! Gate expressions as a graph in which equal subexpressions are one node.

use std::collections::HashMap;

use ff::{Field, PrimeField};
use halo2_proofs::{halo2curves::bn256::Fr, plonk::Expression};

use super::CodegenError;

/// Index of a node.
pub(crate) type Id = usize;

/// One operation on earlier nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Constant(Fr),
    /// A word of memory, by the name of its pointer.
    Load(String),
    Add(Id, Id),
    /// First minus second.
    Sub(Id, Id),
    Mul(Id, Id),
    Neg(Id),
}

/// Nodes, each once, in an order in which operands come first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dag {
    nodes: Vec<Node>,
    ids: HashMap<Node, Id>,
}

/// Whether the constant is short enough that pushing it costs less code than a subtraction from `r`.
fn is_short(c: &Fr) -> bool {
    c.to_repr().as_ref()[8..].iter().all(|b| *b == 0)
}

impl Dag {
    pub(crate) fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    fn intern(&mut self, node: Node) -> Id {
        if let Some(id) = self.ids.get(&node) {
            return *id;
        }
        let id = self.nodes.len();
        self.nodes.push(node.clone());
        self.ids.insert(node, id);
        id
    }

    fn as_constant(&self, id: Id) -> Option<Fr> {
        match self.nodes[id] {
            Node::Constant(c) => Some(c),
            _ => None,
        }
    }

    fn constant(&mut self, c: Fr) -> Id {
        self.intern(Node::Constant(c))
    }

    fn neg(&mut self, a: Id) -> Id {
        match self.nodes[a] {
            Node::Constant(c) => self.constant(-c),
            Node::Neg(b) => b,
            Node::Sub(b, c) => self.sub(c, b),
            _ => self.intern(Node::Neg(a)),
        }
    }

    fn add(&mut self, a: Id, b: Id) -> Id {
        if let (Some(x), Some(y)) = (self.as_constant(a), self.as_constant(b)) {
            return self.constant(x + y);
        }
        for (a, b) in [(a, b), (b, a)] {
            if let Some(c) = self.as_constant(b) {
                if c == Fr::ZERO {
                    return a;
                }
                if !is_short(&c) && is_short(&-c) {
                    let c = self.constant(-c);
                    return self.intern(Node::Sub(a, c));
                }
            }
            if let Node::Neg(c) = self.nodes[b] {
                return self.sub(a, c);
            }
        }
        self.intern(Node::Add(a.min(b), a.max(b)))
    }

    fn sub(&mut self, a: Id, b: Id) -> Id {
        if a == b {
            return self.constant(Fr::ZERO);
        }
        match (self.nodes[a].clone(), self.nodes[b].clone()) {
            (_, Node::Constant(c)) => {
                let c = self.constant(-c);
                self.add(a, c)
            }
            (Node::Constant(c), _) if c == Fr::ZERO => self.neg(b),
            (_, Node::Neg(c)) => self.add(a, c),
            _ => self.intern(Node::Sub(a, b)),
        }
    }

    fn mul(&mut self, a: Id, b: Id) -> Id {
        if let (Some(x), Some(y)) = (self.as_constant(a), self.as_constant(b)) {
            return self.constant(x * y);
        }
        for (a, b) in [(a, b), (b, a)] {
            if let Some(c) = self.as_constant(b) {
                if c == Fr::ZERO {
                    return b;
                }
                if c == Fr::ONE {
                    return a;
                }
                if !is_short(&c) && is_short(&-c) {
                    let c = self.constant(-c);
                    let product = self.mul(a, c);
                    return self.neg(product);
                }
            }
            if let Node::Neg(c) = self.nodes[b] {
                let product = self.mul(a, c);
                return self.neg(product);
            }
        }
        self.intern(Node::Mul(a.min(b), a.max(b)))
    }

    /// Adds an expression over evaluations and challenges.
    pub(crate) fn expression(&mut self, expression: &Expression<Fr>) -> Result<Id, CodegenError> {
        Ok(match expression {
            Expression::Constant(c) => self.constant(*c),
            Expression::Selector(s) => {
                return Err(CodegenError::VirtualSelector { index: s.index() });
            }
            Expression::Fixed(q) => {
                self.intern(Node::Load(eval_name('F', q.column_index(), q.rotation().0)))
            }
            Expression::Advice(q) => {
                self.intern(Node::Load(eval_name('A', q.column_index(), q.rotation().0)))
            }
            Expression::Instance(q) => {
                self.intern(Node::Load(eval_name('I', q.column_index(), q.rotation().0)))
            }
            Expression::Challenge(c) => self.intern(Node::Load(challenge_name(c.index()))),
            Expression::Negated(a) => {
                let a = self.expression(a)?;
                self.neg(a)
            }
            Expression::Sum(a, b) => {
                let (a, b) = (self.expression(a)?, self.expression(b)?);
                self.add(a, b)
            }
            Expression::Product(a, b) => {
                let (a, b) = (self.expression(a)?, self.expression(b)?);
                self.mul(a, b)
            }
            Expression::Scaled(a, c) => {
                let (a, c) = (self.expression(a)?, self.constant(*c));
                self.mul(a, c)
            }
        })
    }

    /// The nodes that a node reads.
    pub(crate) fn operands(&self, id: Id) -> Vec<Id> {
        match self.nodes[id] {
            Node::Constant(_) | Node::Load(_) => vec![],
            Node::Neg(a) => vec![a],
            Node::Add(a, b) | Node::Sub(a, b) | Node::Mul(a, b) => vec![a, b],
        }
    }
}

/// Pointer name of a column's evaluation: `A3`, `A3_R1` one row on, `F5_L2` two rows back.
pub(crate) fn eval_name(kind: char, column: usize, rotation: i32) -> String {
    match rotation {
        0 => format!("{kind}{column}"),
        r if r > 0 => format!("{kind}{column}_R{r}"),
        r => format!("{kind}{column}_L{}", r.unsigned_abs()),
    }
}

/// Pointer name of a circuit's challenge.
pub(crate) fn challenge_name(index: usize) -> String {
    format!("CHALLENGE_{index}")
}
