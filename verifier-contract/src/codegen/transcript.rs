//! The contract's transcript.

use super::{
    dag::challenge_name,
    layout::{ProofPoint, Section, Squeeze},
    source::Writer,
    text::{Text, revert},
};

impl Writer<'_> {
    pub(super) fn write_transcript(&mut self) {
        let layout = self.layout;
        let columns = layout.instance_columns;
        let mut text = Text::of(
            "/// @dev Absorbs the key, the instances and the proof, and draws the challenges.
function replayTranscript(uint256[] calldata INSTANCES, bytes calldata proof) private pure {
assembly (\"memory-safe\") {
let r := R
// the key, then the instances column by column
mstore(FREE, mload(KEY_TRANSCRIPT_REPR))
let to := add(FREE, 0x20)
"
            .replace(" INSTANCES", if columns > 0 { " instances" } else { "" }),
        );
        if columns > 0 {
            let step = 32 * columns;
            // calldata past its end is zeros
            let skip = match 32 * (layout.instance_stride - 1) {
                0 => String::new(),
                between => format!(
                    "calldatacopy(to, calldatasize(), {between:#x})\nto := add(to, {between:#x})\n"
                ),
            };
            text.add(format!(
                "let end := add(instances.offset, shl(5, instances.length))
for {{ let column := 0 }} lt(column, {step:#x}) {{ column := add(column, 0x20) }} {{
let ptr := add(instances.offset, column)
for {{ }} lt(ptr, end) {{ ptr := add(ptr, {step:#x}) }} {{
let value := calldataload(ptr)
if iszero(lt(value, r)) {{
{}
}}
mstore(to, value)
to := add(to, 0x20)
{skip}}}
}}
",
                revert("ScalarNotCanonical", &["ptr"])
            ));
        }
        let mut offset = 0;
        for (i, section) in layout.sections.iter().enumerate() {
            let bytes = 64 * section.points.len() + 32 * section.scalars;
            let next = format!("STATE_{}", i + 1);
            let from = if offset == 0 {
                "proof.offset".to_owned()
            } else {
                format!("add(proof.offset, {offset:#x})")
            };
            text.line(format!("// {}", describe(section)));
            let to = if i == 0 {
                "POINTS_0".to_owned()
            } else {
                format!("add(STATE_{i}, 0x20)")
            };
            text.line(format!("calldatacopy({to}, {from}, {bytes:#x})"));
            if section.squeezes.is_empty() {
                continue;
            }
            let hash = if i == 0 {
                text.line(format!("calldatacopy(to, {from}, {bytes:#x})"));
                format!("keccak256(FREE, sub(add(to, {bytes:#x}), FREE))")
            } else {
                format!("keccak256(STATE_{i}, {:#x})", 32 + bytes)
            };
            text.line(format!("mstore({next}, {hash})"));
            for (j, squeeze) in section.squeezes.iter().enumerate() {
                if j > 0 {
                    text.line(format!(
                        "mstore8(add({next}, 0x20), 1)\nmstore({next}, keccak256({next}, 0x21))"
                    ));
                }
                let name = match squeeze {
                    Squeeze::Circuit(c) => challenge_name(*c),
                    Squeeze::Unused => continue,
                    Squeeze::Y => "Y".to_owned(),
                    Squeeze::X => "X".to_owned(),
                    Squeeze::SetY => "SET_Y".to_owned(),
                    Squeeze::SetV => "SET_V".to_owned(),
                    Squeeze::SetU => "SET_U".to_owned(),
                };
                text.line(format!("mstore({name}, mod(mload({next}), r))"));
            }
            offset += bytes;
        }
        text.add("}\n}\n\n");
        self.put(1, text.as_str());
    }
}

/// A section in the protocol's words.
fn describe(section: &Section) -> String {
    let absorbed = match section.points.first() {
        Some(ProofPoint::Advice(_)) => "advice commitments",
        Some(ProofPoint::Random) => "random polynomial",
        Some(ProofPoint::Quotient(_)) => "quotient pieces",
        Some(ProofPoint::H1) => "SHPLONK's first point",
        Some(ProofPoint::H2) => "SHPLONK's second point",
        None if section.scalars > 0 => "evaluations",
        None => "nothing",
    };
    let drawn: Vec<String> = section
        .squeezes
        .iter()
        .map(|s| match s {
            Squeeze::Circuit(c) => format!("challenge {c}"),
            Squeeze::Unused => "one unused".to_owned(),
            Squeeze::Y => "y".to_owned(),
            Squeeze::X => "x".to_owned(),
            Squeeze::SetY => "SHPLONK's y".to_owned(),
            Squeeze::SetV => "v".to_owned(),
            Squeeze::SetU => "u".to_owned(),
        })
        .collect();
    if drawn.is_empty() {
        return absorbed.to_owned();
    }
    format!("{absorbed}; draws {}", drawn.join(", "))
}
