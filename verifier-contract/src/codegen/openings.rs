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
            "/// @dev SHPLONK: ACC = Σ_i c_i Σ_j y^j (C_ij - r_ij(u)·G) - z_0·H1 + u·H2, where Z_i vanishes on the points of
/// set i, z_0 = Z_0(u) and c_i = v^i·z_0 / Z_i(u). The interpolation at u of values e_m at the points x·ω^(r_m) is
/// Z_i(u)·x^(1-#i) Σ_m e_m·w_m / (u - x·ω^(r_m)), with w_m = 1 / Π_(l≠m) (ω^(r_m) - ω^(r_l)) from the key.
function combineOpenings() private view {{
assembly (\"memory-safe\") {{
// adds s·P to ACC
function addTerm(ptr, s) {{
mcopy(MUL, ptr, 0x40)
mstore(MUL_SCALAR, s)
let ok := staticcall(gas(), 0x07, MUL, 0x60, MUL, 0x40)
ok := and(staticcall(gas(), 0x06, ACC, 0x80, ACC, 0x40), ok)
if iszero(ok) {{
{}
}}
}}
let r := R
let y := mload(SET_Y)
let vi := 1
// Σ_i c_i Σ_j y^j r_ij(u) / z_0
let sum := 0
let s
let e
let ri
",
            revert("PrecompileFailed", &["0x07"])
        ));
        let mut z_0 = layout.sets[0].rotations.iter().map(|r| difference(*r));
        let first = z_0.next().expect("a set has points");
        text.line(format!("let z0 := {}", load(&first)));
        for factor in z_0 {
            text.line(format!("z0 := {}", mul("z0", &load(&factor))));
        }
        for (i, set) in layout.sets.iter().enumerate() {
            self.write_set(&mut text, i, set);
        }
        text.add(
            "// the claimed evaluations, and the two opening points
mstore(GENERATOR, 1)
mstore(add(GENERATOR, 0x20), 2)
addTerm(GENERATOR, sub(r, mulmod(sum, z0, r)))
addTerm(H1, sub(r, z0))
addTerm(H2, mload(SET_U))
}
}

",
        );
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
            text.add("s := 1\n");
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
            if index == 0 && j == 0 {
                // c_0 is 1, so the first commitment needs no multiplication
                let name = self.commitment_pointer(set.members[0].0);
                text.line(format!("mcopy(ACC, {name}, 0x40)"));
                j = 1;
                if set.members.len() > 1 {
                    text.add("s := y\n");
                }
                continue;
            }
            if set.members[j].0 == Commitment::Quotient {
                text.add("e := s\n");
                for piece in 0..self.layout.quotient_pieces {
                    text.line(format!("addTerm(QUOTIENT_{piece}_COMMITMENT, e)"));
                    if piece + 1 < self.layout.quotient_pieces {
                        text.add("e := mulmod(e, mload(X_N), r)\n");
                    }
                }
                text.add("s := mulmod(s, y, r)\n");
                j += 1;
                continue;
            }
            let offset = |m: usize| self.commitment_offset(set.members[m].0);
            let mut end = j + 1;
            while end < set.members.len()
                && offset(end).is_some_and(|o| Some(o) == offset(j).map(|s| s + 0x40 * (end - j)))
            {
                end += 1;
            }
            let first = self.commitment_pointer(set.members[j].0);
            if end - j < 3 {
                end = j + 1;
                text.line(format!("addTerm({first}, s)\ns := mulmod(s, y, r)"));
            } else {
                let last = self.commitment_pointer(set.members[end - 1].0);
                text.line(format!("for {{ let ptr := {first} }} iszero(gt(ptr, {last})) {{ ptr := add(ptr, 0x40) }} {{
addTerm(ptr, s)
s := mulmod(s, y, r)
}}"
                ));
            }
            j = end;
        }
    }

    pub(super) fn write_pairing(&mut self) {
        let text = format!(
            "/// @dev e(H2, s·G2) · e(-ACC, G2) = 1.
function checkPairing() private view {{
assembly (\"memory-safe\") {{
mcopy(PAIRING, H2, 0x40)
mcopy(add(PAIRING, 0x40), KEY_S_G2, 0x80)
mstore(add(PAIRING, 0xc0), mload(ACC))
mstore(add(PAIRING, 0xe0), mod(sub(Q, mload(add(ACC, 0x20))), Q))
mcopy(add(PAIRING, 0x100), KEY_G2, 0x80)
if iszero(staticcall(gas(), 0x08, PAIRING, 0x180, 0x00, 0x20)) {{
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

    pub(super) fn commitment_pointer(&self, commitment: Commitment) -> String {
        match commitment {
            Commitment::Advice(c) => format!("A{c}_COMMITMENT"),
            Commitment::Fixed(c) => format!("F{c}_COMMITMENT"),
            Commitment::Random => "RANDOM_COMMITMENT".to_owned(),
            Commitment::Quotient => "QUOTIENT_0_COMMITMENT".to_owned(),
        }
    }

    /// Memory offset of a commitment; the quotient has no single one.
    pub(super) fn commitment_offset(&self, commitment: Commitment) -> Option<usize> {
        (commitment != Commitment::Quotient)
            .then(|| self.map.offset(&self.commitment_pointer(commitment)))
    }
}
