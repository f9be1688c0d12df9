//! SHPLONK's combination of all openings, and the pairing.

use super::{
    dag::eval_name,
    layout::{Commitment, Eval, OpeningSet},
    source::Writer,
    text::{Text, difference, interpolation_weight, load, mul, point, revert},
};

impl Writer<'_> {
    pub(super) fn write_openings(&mut self) {
        let layout = self.layout;
        let mut text = Text::of(format!(
            "/// @dev SHPLONK: RIGHT = Σ_i c_i Σ_j y^j (C_ij - r_ij(u)·G) - z_0·H1 + u·H2, where Z_i vanishes on the points of
/// set i, z_0 = Z_0(u) and c_i = v^i·z_0 / Z_i(u). The interpolation at u of values e_m at the points x·ω^(r_m) is
/// Z_i(u)·x^(1-#i) Σ_m e_m·w_m / (u - x·ω^(r_m)), with w_m = 1 / Π_(l≠m) (ω^(r_m) - ω^(r_l)) from the key.
/// A proof is right where e(H2, s·G2) = e(RIGHT, G2). This adds weight·H2 to LEFT and weight·RIGHT to RIGHT, but for
/// what all proofs of a key share, the fixed commitments and G: their scalars are summed. The first weight is 1.
function combineOpenings(uint256 weight, bool first) private view {{
assembly (\"memory-safe\") {{
{}
let r := R
let y := mload(SET_Y)
let vi := weight
// weight·Σ_i c_i Σ_j y^j r_ij(u) / z_0
let sum := 0
let s
let e
let ri
",
            add_term()
        ));
        let mut z_0 = layout.sets[0].rotations.iter().map(|r| difference(*r));
        let point = z_0.next().expect("a set has points");
        text.line(format!("let z0 := {}", load(&point)));
        for factor in z_0 {
            text.line(format!("z0 := {}", mul("z0", &load(&factor))));
        }
        for (i, set) in layout.sets.iter().enumerate() {
            self.write_set(&mut text, i, set);
        }
        text.add(
            "// the claimed evaluations, and the two opening points
mstore(GENERATOR_SCALAR, addmod(mload(GENERATOR_SCALAR), sub(r, mulmod(sum, z0, r)), r))
addTerm(RIGHT, H1, sub(r, mulmod(weight, z0, r)))
addTerm(RIGHT, H2, mulmod(weight, mload(SET_U), r))
switch first
case 1 { mcopy(LEFT, H2, 0x40) }
default { addTerm(LEFT, H2, weight) }
}
}

",
        );
        self.put(1, text.as_str());
        self.write_shared();
    }

    /// What all proofs of one key have in common.
    fn write_shared(&mut self) {
        let columns = self.layout.fixed_columns;
        let mut text = Text::of(format!(
            "/// @dev Before the first proof: the sums of the scalars are 0.
function clearShared() private pure {{
assembly (\"memory-safe\") {{
calldatacopy(GENERATOR_SCALAR, calldatasize(), {:#x})
}}
}}

/// @dev After the last proof: adds the fixed commitments and G to RIGHT.
function addShared() private view {{
assembly (\"memory-safe\") {{
{}
mstore(GENERATOR, 1)
mstore(add(GENERATOR, 0x20), 2)
addTerm(RIGHT, GENERATOR, mload(GENERATOR_SCALAR))
",
            32 * (1 + columns),
            add_term(),
        ));
        if columns > 0 {
            text.add(format!(
                "let scalar := FIXED_SCALARS
let end := add(F0_COMMITMENT, {:#x})
for {{ let ptr := F0_COMMITMENT }} lt(ptr, end) {{ ptr := add(ptr, 0x40) }} {{
addTerm(RIGHT, ptr, mload(scalar))
scalar := add(scalar, 0x20)
}}
",
                64 * columns
            ));
        }
        text.add("}\n}\n\n");
        self.put(1, text.as_str());
    }

    /// One opening set: its combined evaluation into `sum`, its commitments into `ACC`.
    pub(super) fn write_set(&self, text: &mut Text, index: usize, set: &OpeningSet) {
        let names: Vec<String> = set.rotations.iter().map(|r| point(*r)).collect();
        text.line(format!(
            "// set {index}: {} polynomials at {}",
            set.members.len(),
            names.join(", ")
        ));
        if index > 0 {
            text.line("vi := mulmod(vi, mload(SET_V), r)");
        }
        // the evaluations at each point, combined by powers of y, last to first
        for (j, rotation) in set.rotations.iter().enumerate() {
            for (m, (_, evals)) in set.members.iter().rev().enumerate() {
                let value = load(&self.eval_pointer(evals[j]));
                if m == 0 {
                    text.line(format!("e := {value}"));
                } else {
                    text.line(format!("e := addmod(mulmod(e, y, r), {value}, r)"));
                }
            }
            let inverse = self.inverse_of_difference(*rotation);
            let weight = match set.rotations.len() {
                1 => "1".to_owned(),
                _ => load(&interpolation_weight(index, j)),
            };
            let term = mul("e", &mul(&inverse, &weight));
            if j == 0 {
                text.line(format!("ri := {term}"));
            } else {
                text.line(format!("ri := addmod(ri, {term}, r)"));
            }
        }
        let degree = set.rotations.len() - 1;
        if degree > 0 {
            // e := x^-degree, by squaring
            let x = self.inverse_of_x();
            text.line(format!("e := {x}"));
            for bit in (0..degree.ilog2()).rev() {
                text.line("e := mulmod(e, e, r)");
                if degree >> bit & 1 == 1 {
                    text.line(format!("e := {}", mul("e", &x)));
                }
            }
            text.line("ri := mulmod(ri, e, r)");
        }
        text.add("sum := addmod(sum, mulmod(vi, ri, r), r)\n");
        if index == 0 {
            text.add("s := weight\n");
        } else {
            text.add("s := mulmod(vi, z0, r)\n");
            for rotation in &set.rotations {
                let inverse = self.inverse_of_difference(*rotation);
                text.line(format!("s := {}", mul("s", &inverse)));
            }
        }
        // the commitments, runs of neighbours in a loop
        let mut j = 0;
        while j < set.members.len() {
            let commitment = set.members[j].0;
            if commitment == Commitment::Quotient {
                text.add("e := s\n");
                for piece in 0..self.layout.quotient_pieces {
                    text.line(format!("addTerm(RIGHT, QUOTIENT_{piece}_COMMITMENT, e)"));
                    if piece + 1 < self.layout.quotient_pieces {
                        text.add("e := mulmod(e, mload(X_N), r)\n");
                    }
                }
                text.add("s := mulmod(s, y, r)\n");
                j += 1;
                continue;
            }
            let mut end = j + 1;
            let next_to =
                |m: usize| Some(self.words_of(commitment)? + (m - j) * self.size_of(commitment));
            while end < set.members.len()
                && same_kind(commitment, set.members[end].0)
                && self.words_of(set.members[end].0) == next_to(end)
            {
                end += 1;
            }
            let pointer = self.pointer_of(commitment);
            let (last, size) = (
                self.pointer_of(set.members[end - 1].0),
                self.size_of(commitment),
            );
            let term = match commitment {
                // The key's, and so those of every proof: only the scalar is noted.
                Commitment::Fixed(_) => "mstore(ptr, addmod(mload(ptr), s, r))",
                _ => "addTerm(RIGHT, ptr, s)",
            };
            if index == 0 && j == 0 && !matches!(commitment, Commitment::Fixed(_)) {
                // the first weight is 1, so the first commitment needs no multiplication
                text.line(format!(
                    "switch first
case 1 {{ mcopy(RIGHT, {pointer}, 0x40) }}
default {{ addTerm(RIGHT, {pointer}, s) }}
s := mulmod(s, y, r)"
                ));
                end = 1;
            } else if end - j < 3 {
                end = j + 1;
                let term = term.replace("ptr", &pointer);
                text.line(format!("{term}\ns := mulmod(s, y, r)"));
            } else {
                text.line(format!("for {{ let ptr := {pointer} }} iszero(gt(ptr, {last})) {{ ptr := add(ptr, {size:#x}) }} {{
{term}
s := mulmod(s, y, r)
}}"
                ));
            }
            j = end;
        }
    }

    pub(super) fn write_pairing(&mut self) {
        let text = format!(
            "/// @dev e(LEFT, s·G2) · e(-RIGHT, G2) = 1.
function checkPairing() private view {{
assembly (\"memory-safe\") {{
mcopy(PAIRING, LEFT, 0x40)
mcopy(add(PAIRING, 0x40), KEY_S_G2, 0x80)
mstore(add(PAIRING, 0xc0), mload(RIGHT))
mstore(add(PAIRING, 0xe0), mod(sub(Q, mload(add(RIGHT, 0x20))), Q))
mcopy(add(PAIRING, 0x100), KEY_G2, 0x80)
let ok := staticcall(gas(), 0x08, PAIRING, 0x180, 0x00, 0x20)
if iszero(and(eq(returndatasize(), 0x20), ok)) {{
{}
}}
if iszero(eq(mload(0x00), 1)) {{
{}
}}
}}
}}
",
            revert("PrecompileFailed", &["0x08"]),
            revert("PairingFailed", &[]),
        );
        self.put(1, &text);
    }

    pub(super) fn eval_pointer(&self, eval: Eval) -> String {
        match eval {
            Eval::Advice(q) => {
                let (column, rotation) = self.layout.advice_queries[q];
                eval_name('A', column, rotation)
            }
            Eval::Fixed(q) => {
                let (column, rotation) = self.layout.fixed_queries[q];
                eval_name('F', column, rotation)
            }
            Eval::Quotient => "QUOTIENT_EVAL".to_owned(),
            Eval::Random => "RANDOM_EVAL".to_owned(),
        }
    }

    /// Where a commitment stands; of a fixed one, where its scalar is summed.
    fn pointer_of(&self, commitment: Commitment) -> String {
        match commitment {
            Commitment::Advice(c) => format!("A{c}_COMMITMENT"),
            Commitment::Fixed(0) => "FIXED_SCALARS".to_owned(),
            Commitment::Fixed(c) => format!("add(FIXED_SCALARS, {:#x})", 32 * c),
            Commitment::Random => "RANDOM_COMMITMENT".to_owned(),
            Commitment::Quotient => "QUOTIENT_0_COMMITMENT".to_owned(),
        }
    }

    /// Bytes of what stands there.
    fn size_of(&self, commitment: Commitment) -> usize {
        match commitment {
            Commitment::Fixed(_) => 0x20,
            _ => 0x40,
        }
    }

    /// The memory offset of [`pointer_of`](Self::pointer_of); the quotient has no single one.
    fn words_of(&self, commitment: Commitment) -> Option<usize> {
        match commitment {
            Commitment::Quotient => None,
            Commitment::Fixed(c) => Some(self.map.offset("FIXED_SCALARS") + 32 * c),
            other => Some(self.map.offset(&self.pointer_of(other))),
        }
    }
}

fn same_kind(a: Commitment, b: Commitment) -> bool {
    matches!(a, Commitment::Fixed(_)) == matches!(b, Commitment::Fixed(_))
}

/// Yul that adds `s·P` to the sum at `sum`, which two words for the product and one for the scalar follow.
///
/// A call to an address without code succeeds and returns nothing. So on a chain that lacks a precompile only the length
/// of what came back tells that nothing was computed.
fn add_term() -> String {
    let failed = revert("PrecompileFailed", &["0x07"]);
    format!(
        "function addTerm(sum, ptr, s) {{
let product := add(sum, 0x40)
mcopy(product, ptr, 0x40)
mstore(add(sum, 0x80), s)
let ok := staticcall(gas(), 0x07, product, 0x60, product, 0x40)
ok := and(eq(returndatasize(), 0x40), ok)
ok := and(ok, staticcall(gas(), 0x06, sum, 0x80, sum, 0x40))
if iszero(and(eq(returndatasize(), 0x40), ok)) {{
{failed}
}}
}}"
    )
}
