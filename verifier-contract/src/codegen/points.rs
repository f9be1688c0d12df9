//! Opened points, instance evaluations, and the one inversion.

use super::{
    dag::eval_name,
    layout::VerifierLayout,
    source::Writer,
    text::{
        Text, difference, instance_denominator, instance_rotations, load, point, revert, suffix,
    },
};

/// Everything that is divided by, inverted in one batch: `x^n - 1`, the instance's denominators, `x`, and `u` minus each
/// opened point.
pub(super) fn inverses(layout: &VerifierLayout) -> Vec<String> {
    let mut list = vec!["addmod(mload(X_N), sub(r, 1), r)".to_owned()];
    for rotation in instance_rotations(layout) {
        list.push(load(&instance_denominator(rotation)));
    }
    list.push(load("X"));
    list.extend(layout.opened.iter().map(|r| load(&difference(*r))));
    list
}

impl Writer<'_> {
    /// `1 / x`.
    pub(super) fn inverse_of_x(&self) -> String {
        load(&format!(
            "INVERSE_{}",
            1 + instance_rotations(self.layout).len()
        ))
    }

    /// `1 / (u - x·ω^rotation)`.
    pub(super) fn inverse_of_difference(&self, rotation: i32) -> String {
        let at = self.layout.opened.iter().position(|r| *r == rotation);
        let at = at.expect("every set's points are opened");
        load(&format!(
            "INVERSE_{}",
            2 + instance_rotations(self.layout).len() + at
        ))
    }

    pub(super) fn write_points(&mut self) {
        let mut text = Text::of(
            "/// @dev x^n, the opened points, and u minus each.
function computePoints() private pure {
assembly (\"memory-safe\") {
let r := R
let x := mload(X)
let xn := x
for { let i := mload(KEY_K) } i { i := sub(i, 1) } { xn := mulmod(xn, xn, r) }
mstore(X_N, xn)
",
        );
        for rotation in &self.layout.rotations {
            let (name, omega) = (point(*rotation), format!("KEY_OMEGA{}", suffix(*rotation)));
            text.line(format!("mstore({name}, mulmod(x, mload({omega}), r))"));
        }
        text.add("let u := mload(SET_U)\n");
        for rotation in &self.layout.opened {
            let (name, p) = (difference(*rotation), load(&point(*rotation)));
            text.line(format!("mstore({name}, addmod(u, sub(r, {p}), r))"));
        }
        text.add("}\n}\n\n");
        self.put(1, text.as_str());
    }

    pub(super) fn write_instances(&mut self) {
        let layout = self.layout;
        let rows = 32 * layout.instance_columns;
        let mut text = Text::of("/// @dev Instance columns at their points, as fractions: with t = x·ω^(rotation - row of halo2), the value is
/// (x^n - 1) / n · Σ instance[row] / (t - 1). Numerators go where the evaluations belong.
function sumInstances(uint256[] calldata instances) private pure {
assembly (\"memory-safe\") {
let r := R
let minusOne := sub(r, 1)
let omegaInv := mload(KEY_OMEGA_INV)
let end := add(instances.offset, shl(5, instances.length))
");
        for _ in 0..layout.instance_stride.ilog2() {
            text.add("omegaInv := mulmod(omegaInv, omegaInv, r)\n");
        }
        for rotation in instance_rotations(layout) {
            let columns: Vec<(usize, String)> = layout
                .instance_queries
                .iter()
                .filter(|q| q.1 == rotation)
                .map(|q| (q.0, eval_name('I', q.0, q.1)))
                .collect();
            let denominator = instance_denominator(rotation);
            text.line(format!(
                "{{\nlet t := {}\nlet denominator := 1",
                load(&point(rotation))
            ));
            for (_, name) in &columns {
                text.line(format!("mstore({name}, 0)"));
            }
            text.line(format!("for {{ let ptr := instances.offset }} lt(ptr, end) {{ ptr := add(ptr, {rows:#x}) }} {{
let d := addmod(t, minusOne, r)"
            ));
            for (column, name) in &columns {
                let from = match 32 * column {
                    0 => "calldataload(ptr)".to_owned(),
                    offset => format!("calldataload(add(ptr, {offset:#x}))"),
                };
                text.line(format!("mstore({name}, addmod(mulmod(mload({name}), d, r), mulmod(denominator, {from}, r), r))"
                ));
            }
            text.line(format!("denominator := mulmod(denominator, d, r)\nt := mulmod(t, omegaInv, r)\n}}\nmstore({denominator}, denominator)\n}}"
            ));
        }
        text.add("}\n}\n\n");
        if layout.instance_queries.is_empty() {
            text = Text::of(
                "/// @dev No gate reads an instance column.\nfunction sumInstances(uint256[] calldata) private pure {}\n\n",
            );
        }
        self.put(1, text.as_str());
    }

    pub(super) fn write_inversion(&mut self) {
        let count = self.inverses.len();
        let mut text = Text::of(
            "/// @dev Inverts all denominators at once, then finishes the instance evaluations.
function invertDenominators() private view {
assembly (\"memory-safe\") {
let r := R
// running products, each kept before its value joins it
let acc := 1
let value
",
        );
        for (i, value) in self.inverses.iter().enumerate() {
            let prefix = format!("add(PREFIX, {:#x})", 32 * i);
            text.line(format!("value := {value}\nmstore(INVERSE_{i}, value)\nmstore({prefix}, acc)\nacc := mulmod(acc, value, r)"
            ));
        }
        text.add(format!(
            "// acc^(r - 2) is 1 / acc; 0 where a challenge met a root, and then every inverse is 0
mstore(MODEXP, 0x20)
mstore(add(MODEXP, 0x20), 0x20)
mstore(add(MODEXP, 0x40), 0x20)
mstore(add(MODEXP, 0x60), acc)
mstore(add(MODEXP, 0x80), sub(r, 2))
mstore(add(MODEXP, 0xa0), r)
let ok := staticcall(gas(), 0x05, MODEXP, 0xc0, MODEXP, 0x20)
ok := and(eq(returndatasize(), 0x20), ok)
acc := mload(MODEXP)
if iszero(and(ok, gt(acc, 0))) {{
{}
}}
",
            revert("PrecompileFailed", &["0x05"])
        ));
        for i in (0..count).rev() {
            let prefix = format!("mload(add(PREFIX, {:#x}))", 32 * i);
            text.line(format!("value := mload(INVERSE_{i})\nmstore(INVERSE_{i}, mulmod(acc, {prefix}, r))\nacc := mulmod(acc, value, r)"
            ));
        }
        if !self.layout.instance_queries.is_empty() {
            text.add(
                "// (x^n - 1) / n\nlet common := mulmod(addmod(mload(X_N), sub(r, 1), r), mload(KEY_N_INV), r)\n",
            );
        }
        for (i, rotation) in instance_rotations(self.layout).into_iter().enumerate() {
            text.line(format!(
                "value := mulmod(common, mload(INVERSE_{}), r)",
                i + 1
            ));
            for (column, _) in self
                .layout
                .instance_queries
                .iter()
                .filter(|q| q.1 == rotation)
            {
                let name = eval_name('I', *column, rotation);
                text.line(format!("mstore({name}, mulmod(mload({name}), value, r))"));
            }
        }
        text.add("}\n}\n\n");
        self.put(1, text.as_str());
    }
}
