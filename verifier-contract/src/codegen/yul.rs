//! The graph as straight-line Yul: shared values in memory, everything else on a short stack.

use std::{collections::HashMap, fmt::Write as _};

use ff::PrimeField;
use halo2_proofs::{halo2curves::bn256::Fr, plonk::ConstraintSystem};

use super::{
    CodegenError,
    dag::{Dag, Id, Node},
};

/// Stack words a single expression may take. The EVM reaches 16 deep, and the block's variables and
/// the call's return address are among them.
const MAX_STACK: usize = 8;

/// Statements that leave `Σ gate_i y^(m - 1 - i)` in `h`, in the order of the stock verifier, and the number of
/// memory words from `base` on that they take. In scope are `r`, `y`, `h` and a scratch variable `t`.
pub(crate) fn write_gates(
    cs: &ConstraintSystem<Fr>,
    base: usize,
) -> Result<(Vec<String>, usize), CodegenError> {
    let mut dag = Dag::default();
    let mut roots = Vec::new();
    for gate in cs.gates() {
        for (i, polynomial) in gate.polynomials().iter().enumerate() {
            let name = format!("{}[{i}]", printable(gate.name()));
            roots.push((dag.expression(polynomial)?, name));
        }
    }
    let ids: Vec<_> = roots.iter().map(|r| r.0).collect();
    let mut emitter = Emitter::new(&dag, &ids, base);
    for (i, (root, name)) in roots.iter().enumerate() {
        emitter.line(format!("// gate {name}"));
        let value = emitter.value(*root);
        emitter.line(if i == 0 {
            format!("h := {value}")
        } else {
            format!("h := addmod(mulmod(h, y, r), {value}, r)")
        });
    }
    Ok((emitter.lines, emitter.slots))
}

/// A gate's name without what could end a comment or a line.
fn printable(name: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || " _-.+*=()".contains(c);
    name.chars().filter(|c| keep(*c)).take(60).collect()
}

/// Writes statements for nodes, with `r` the modulus and `t` a scratch variable, both in scope.
#[derive(Debug)]
struct Emitter<'a> {
    dag: &'a Dag,
    /// Uses still to be written.
    uses: Vec<usize>,
    /// Shared or deep nodes that stand in memory, by slot.
    stored: HashMap<Id, usize>,
    free: Vec<usize>,
    slots: usize,
    base: usize,
    lines: Vec<String>,
}

impl<'a> Emitter<'a> {
    /// An emitter for `roots`, each used once by the caller, with slots from `base` on.
    fn new(dag: &'a Dag, roots: &[Id], base: usize) -> Self {
        let mut uses = vec![0; dag.len()];
        let mut reached = vec![false; dag.len()];
        let mut open: Vec<Id> = roots.to_vec();
        for root in roots {
            uses[*root] += 1;
        }
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut reached[id], true) {
                continue;
            }
            for operand in dag.operands(id) {
                uses[operand] += 1;
                open.push(operand);
            }
        }
        Self {
            dag,
            uses,
            stored: HashMap::new(),
            free: Vec::new(),
            slots: 0,
            base,
            lines: Vec::new(),
        }
    }

    fn line(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Makes `id` usable as the returned expression, writing first what must stand in memory or `t`.
    fn value(&mut self, id: Id) -> String {
        self.store_shared(id);
        if self.stack(id) <= MAX_STACK {
            return self.inline(id);
        }
        self.write_t(id);
        "t".to_owned()
    }

    fn is_leaf(&self, id: Id) -> bool {
        matches!(self.dag.node(id), Node::Constant(_) | Node::Load(_))
    }

    /// Stores every node under `id` (and `id` itself) that is used more than once, operands first.
    fn store_shared(&mut self, id: Id) {
        if self.is_leaf(id) || self.stored.contains_key(&id) {
            return;
        }
        for operand in self.dag.operands(id) {
            self.store_shared(operand);
        }
        if self.uses[id] > 1 {
            self.store(id);
        }
    }

    fn store(&mut self, id: Id) {
        let value = if self.stack(id) <= MAX_STACK {
            self.inline_unstored(id)
        } else {
            self.write_t(id);
            "t".to_owned()
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        });
        self.stored.insert(id, slot);
        let pointer = self.base + 32 * slot;
        self.line(format!("mstore({pointer:#x}, {value})"));
    }

    /// Stack words that the node's expression takes.
    fn stack(&self, id: Id) -> usize {
        if self.stored.contains_key(&id) {
            return 1;
        }
        match *self.dag.node(id) {
            Node::Constant(_) | Node::Load(_) => 1,
            Node::Neg(a) => self.stack(a).max(2),
            Node::Add(a, b) | Node::Mul(a, b) => {
                let (a, b) = (self.stack(a), self.stack(b));
                (1 + a.max(b)).max(2 + a.min(b))
            }
            Node::Sub(a, b) => {
                let (a, b) = (self.stack(a), self.stack(b).max(2));
                (1 + a.max(b)).max(2 + a.min(b))
            }
        }
    }

    fn inline(&mut self, id: Id) -> String {
        if let Some(slot) = self.stored.get(&id).copied() {
            self.uses[id] -= 1;
            if self.uses[id] == 0 {
                self.stored.remove(&id);
                self.free.push(slot);
            }
            return format!("mload({:#x})", self.base + 32 * slot);
        }
        self.inline_unstored(id)
    }

    fn inline_unstored(&mut self, id: Id) -> String {
        match self.dag.node(id).clone() {
            Node::Constant(c) => constant(&c),
            Node::Load(name) => format!("mload({name})"),
            Node::Neg(a) => format!("sub(r, {})", self.inline(a)),
            Node::Add(a, b) => self.pair("addmod", a, b, false),
            Node::Mul(a, b) => self.pair("mulmod", a, b, false),
            Node::Sub(a, b) => self.pair("addmod", a, b, true),
        }
    }

    /// `op(a, b, r)`, the operand that takes more stack second, as Yul evaluates from the right.
    fn pair(&mut self, op: &str, a: Id, b: Id, negate_b: bool) -> String {
        let (needs_a, needs_b) = (self.stack(a), self.stack(b));
        let a = self.inline(a);
        let mut b = self.inline(b);
        if negate_b {
            b = format!("sub(r, {b})");
        }
        if needs_a > needs_b {
            format!("{op}({b}, {a}, r)")
        } else {
            format!("{op}({a}, {b}, r)")
        }
    }

    /// Computes a node that is too deep for one expression into `t`, along its deeper operands.
    fn write_t(&mut self, id: Id) {
        if self.stack(id) <= MAX_STACK {
            let value = self.inline_unstored(id);
            self.line(format!("t := {value}"));
            return;
        }
        let operands = self.dag.operands(id);
        let deep = operands
            .iter()
            .copied()
            .max_by_key(|o| self.stack(*o))
            .expect("a leaf is never too deep");
        let other = operands.into_iter().find(|o| *o != deep);
        if let Some(other) = other
            && self.stack(other) + 2 > MAX_STACK
        {
            self.store(other);
        }
        self.write_t(deep);
        let other = other.map(|o| self.inline(o));
        let value = match (self.dag.node(id).clone(), other) {
            (Node::Neg(_), _) => "sub(r, t)".to_owned(),
            (Node::Add(..), Some(o)) => format!("addmod(t, {o}, r)"),
            (Node::Mul(..), Some(o)) => format!("mulmod(t, {o}, r)"),
            (Node::Sub(a, _), Some(o)) if a == deep => format!("addmod(t, sub(r, {o}), r)"),
            (Node::Sub(..), Some(o)) => format!("addmod({o}, sub(r, t), r)"),
            // An operand that occurs twice is shared, so it stands in memory and is not deep.
            (node, _) => unreachable!("{node:?} has two operands"),
        };
        self.line(format!("t := {value}"));
    }
}

fn constant(c: &Fr) -> String {
    let mut bytes = c.to_repr();
    bytes.as_mut().reverse();
    let mut text = String::new();
    for b in bytes.as_ref() {
        write!(text, "{b:02x}").expect("writing to a string does not fail");
    }
    let digits = text.trim_start_matches('0');
    if digits.len() <= 4 {
        let small = u32::from_str_radix(if digits.is_empty() { "0" } else { digits }, 16);
        return small.expect("four hex digits").to_string();
    }
    // Even digit counts only: solc takes 40 digits for an address and checks their case.
    let even = text.len() - digits.len().next_multiple_of(2);
    match text[even..].len() {
        40 => format!("0x00{}", &text[even..]),
        _ => format!("0x{}", &text[even..]),
    }
}

#[cfg(test)]
mod tests {
    use ff::Field;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;
    use tensorseal_circuits::{circuit::configure, profile};

    use super::super::dag::{challenge_name, eval_name};
    use super::*;

    const BASE: usize = 0x1000;

    /// Runs the statements over random evaluations, by reading them as text.
    #[derive(Default)]
    struct Machine {
        named: HashMap<String, Fr>,
        slots: HashMap<usize, Fr>,
        variables: HashMap<String, Fr>,
    }

    impl Machine {
        fn named(&mut self, name: String) -> Fr {
            // Each name's own seed, so that the reference sees the same value.
            let seed = name
                .bytes()
                .fold(7u64, |h, b| h.wrapping_mul(0x100_0003) ^ u64::from(b));
            *self
                .named
                .entry(name)
                .or_insert_with(|| Fr::random(ChaCha20Rng::seed_from_u64(seed)))
        }

        fn hex(text: &str) -> Fr {
            let digits = text.strip_prefix("0x").expect("hex");
            digits.chars().fold(Fr::ZERO, |f, c| {
                f * Fr::from(16) + Fr::from(u64::from(c.to_digit(16).unwrap()))
            })
        }

        /// Reads one expression off the front of `text`.
        fn expression<'t>(&mut self, text: &'t str) -> (Fr, &'t str) {
            let end = text.find(['(', ')', ',']).unwrap_or(text.len());
            let (word, rest) = text.split_at(end);
            if !rest.starts_with('(') {
                let value = match word {
                    "r" => Fr::ZERO,
                    w if w.starts_with("0x") => Self::hex(w),
                    w if w.starts_with(|c: char| c.is_ascii_digit()) => {
                        Fr::from(w.parse::<u64>().unwrap())
                    }
                    w => self.variables[w],
                };
                return (value, rest);
            }
            if word == "mload" {
                let (pointer, rest) = rest[1..].split_once(')').unwrap();
                let value = match pointer.strip_prefix("0x") {
                    Some(digits) => self.slots[&usize::from_str_radix(digits, 16).unwrap()],
                    None => self.named(pointer.to_owned()),
                };
                return (value, rest);
            }
            let (mut arguments, mut rest) = (Vec::new(), &rest[1..]);
            loop {
                let value;
                (value, rest) = self.expression(rest);
                arguments.push(value);
                match rest.strip_prefix(", ") {
                    Some(more) => rest = more,
                    None => break,
                }
            }
            let value = match (word, arguments.as_slice()) {
                ("addmod", [a, b, _]) => *a + b,
                ("mulmod", [a, b, _]) => *a * b,
                ("sub", [a, b]) => *a - b,
                other => panic!("{other:?}"),
            };
            (value, rest.strip_prefix(')').expect("a closed call"))
        }

        fn run(&mut self, line: &str) {
            if line.starts_with("//") {
                return;
            }
            if let Some((variable, value)) = line.split_once(" := ") {
                let (value, rest) = self.expression(value);
                assert_eq!(rest, "");
                self.variables.insert(variable.to_owned(), value);
                return;
            }
            let arguments = line.strip_prefix("mstore(0x").expect("a statement");
            let (pointer, value) = arguments.split_once(", ").unwrap();
            let (value, rest) = self.expression(value);
            assert_eq!(rest, ")");
            let pointer = usize::from_str_radix(pointer, 16).unwrap();
            self.slots.insert(pointer, value);
        }
    }

    /// The statements of every profile compute what its expressions say, at random evaluations.
    #[test]
    fn statements_equal_expressions() {
        for p in profile::ALL {
            let mut cs = ConstraintSystem::default();
            configure(&mut cs, p);
            let (lines, slots) = write_gates(&cs, BASE).unwrap();
            let mut machine = Machine::default();
            let y = machine.named("y".to_owned());
            machine.variables.insert("y".to_owned(), y);
            for line in &lines {
                machine.run(line);
            }
            assert!(machine.slots.keys().all(|s| (*s - BASE) / 32 < slots));
            let machine = std::cell::RefCell::new(machine);
            let value = |kind, column, rotation| {
                let name = eval_name(kind, column, rotation);
                machine.borrow_mut().named(name)
            };
            let polynomials = cs.gates().iter().flat_map(|g| g.polynomials());
            let expected = polynomials.fold(Fr::ZERO, |h, polynomial| {
                h * y
                    + polynomial.evaluate(
                        &|c| c,
                        &|_| unreachable!("no selectors"),
                        &|q| value('F', q.column_index(), q.rotation().0),
                        &|q| value('A', q.column_index(), q.rotation().0),
                        &|q| value('I', q.column_index(), q.rotation().0),
                        &|c| machine.borrow_mut().named(challenge_name(c.index())),
                        &|a| -a,
                        &|a, b| a + b,
                        &|a, b| a * b,
                        &|a, c| a * c,
                    )
            });
            assert_eq!(machine.borrow().variables["h"], expected, "{}", p.name());
            println!("{}: {} statements, {slots} slots", p.name(), lines.len());
        }
    }
}
