//! One model in one profile: what has to hold of its layout and witness.

use std::sync::Arc;

use ff::Field;
use halo2_proofs::{dev::MockProver, halo2curves::bn256::Fr};
use rand::Rng;
use rand_chacha::ChaCha20Rng;

use super::gates::Gates;
use crate::check;
use crate::circuit::ModelCircuit;
use crate::layout::{Layout, LayoutError, Shown, Side};
use crate::model::Model;
use crate::profile::fixed;
use crate::testing::features;
use crate::witness::{Inference, Witness};

/// Why a random model may be refused: a name, and how the message of an unsupported node begins.
const UNSUPPORTED: [(&str, &str); 3] = [
    ("idle input", "is an input that no output depends on"),
    ("batch", "sums a pooled and a convolved tensor"),
    (
        "weights",
        "its terms read one cell with weights that add up",
    ),
];

/// The names of all reasons that may be.
pub(super) const REASONS: [&str; 6] = ["sums", "table", "rows", "weights", "idle input", "batch"];

/// The reason of a refusal.
///
/// # Panics
/// Where a random model must not meet it, or where the model does not have what it is refused for.
pub(super) fn reason(model: &Model, error: &LayoutError) -> &'static str {
    let reason = match error {
        LayoutError::Bounds(_) => Some("sums"),
        LayoutError::TableTooLarge { .. } => Some("table"),
        LayoutError::TooManyRows { .. } => Some("rows"),
        LayoutError::Unsupported { what, .. } => {
            let known = UNSUPPORTED.iter().find(|known| what.starts_with(known.1));
            known.map(|known| known.0)
        }
        _ => None,
    };
    let has_it = match reason {
        None => false,
        Some("idle input") => features::idle_input(model),
        Some("batch") => model.nodes.iter().any(|n| n.shape.n > 1),
        Some(_) => true,
    };
    assert!(has_it, "refused: {error}");
    reason.unwrap_or_default()
}

/// An inference: a model with inputs, and the tensors that the executor gives.
pub(super) struct Run<'a> {
    pub(super) model: &'a Model,
    pub(super) inputs: &'a [Vec<i64>],
    pub(super) tensors: &'a [Vec<i64>],
}

impl Run<'_> {
    /// The witness, whose outputs, public values and digests are the executor's. The fixed columns state the same model.
    pub(super) fn witness(&self, layout: &Layout) -> Witness {
        if let Err(why) = check::statement(self.model, layout) {
            panic!("the fixed columns: {why}");
        }
        let inference = Inference::new(self.model, layout, self.inputs);
        let witness = inference.expect("circuit and executor agree").witness;
        let outputs = self.model.outputs.iter().map(|p| &self.tensors[p.node]);
        assert!(outputs.eq(&witness.outputs), "outputs");
        let shown = layout.public_values(witness.instances());
        let shown = shown.expect("the instances are those of the layout");
        let visibility = layout.visibility;
        if visibility.output == Shown::Public {
            assert_eq!(shown.outputs, witness.outputs, "public outputs");
        }
        if visibility.input == Shown::Public {
            assert_eq!(shown.inputs, self.inputs, "public inputs");
        }
        for (digest, value) in layout.digests().iter().zip(&witness.digests) {
            let (ports, tensors) = match digest.side {
                Side::Input => (&self.model.inputs, self.inputs),
                Side::Output => (&self.model.outputs, witness.outputs.as_slice()),
            };
            assert_eq!(digest.compute(ports, tensors), Ok(*value), "digest");
        }
        let hashed = [visibility.input, visibility.output];
        let hashed = hashed.iter().filter(|s| **s == Shown::Hashed).count();
        assert_eq!(layout.digests().len(), hashed);
        witness
    }
}

/// All gates hold on all rows, and none holds any more after a change.
pub(super) fn gates_hold(
    layout: &Layout,
    witness: &mut Witness,
    rng: &mut ChaCha20Rng,
    lies: usize,
) {
    let gates = Gates::new(layout, std::array::from_fn(|_| Fr::random(&mut *rng)));
    assert_eq!(gates.broken(witness), Vec::<String>::new(), "honest");
    let rejected = |witness: &Witness, what: &str| {
        assert!(!gates.broken(witness).is_empty(), "{what} is accepted");
    };
    for _ in 0..lies {
        if !layout.public.is_empty() {
            let public = layout.public[rng.gen_range(0..layout.public.len())];
            witness.instance[public.lane][public.row] += 1;
            rejected(witness, "another public value");
            witness.instance[public.lane][public.row] -= 1;
        }
        if !witness.digests.is_empty() {
            let i = rng.gen_range(0..witness.digests.len());
            witness.digests[i] += Fr::ONE;
            rejected(witness, "another digest");
            witness.digests[i] -= Fr::ONE;
        }
        if let Some((lane, row)) = looked_up(layout, rng) {
            let [a, b, c] = [layout.profile.a(), layout.profile.b(0), layout.profile.c()]
                .map(|lanes| lanes.start + lane);
            let column = [a, b, c][rng.gen_range(0..3)];
            let by = rng.gen_range(1..1000);
            witness.lanes[column][row] += by;
            rejected(witness, "another cell that is looked up");
            witness.lanes[column][row] -= by;
            other_entry(layout, witness, (lane, row), &rejected);
        }
    }
}

/// A lane of a row that is looked up and that a tensor's accumulator stands in.
fn looked_up(layout: &Layout, rng: &mut ChaCha20Rng) -> Option<(usize, usize)> {
    let on = |column: usize, row: usize| layout.fixed[column].get(row).is_some_and(|v| *v != 0);
    let rows = 0..layout.rows.len();
    let bound = rows.filter(|row| on(fixed::CONSUME, *row) && on(fixed::SCALE_A, *row));
    let bound: Vec<usize> = bound.collect();
    let row = *bound.get(rng.gen_range(0..bound.len().max(1)))?;
    Some((rng.gen_range(0..layout.profile.lanes), row))
}

/// A neighbouring entry of the table in a cell's place, everything after computed anew: only the totals can tell.
fn other_entry(
    layout: &Layout,
    witness: &mut Witness,
    (lane, row): (usize, usize),
    rejected: &impl Fn(&Witness, &str),
) {
    let (a, c) = (
        layout.profile.a().start + lane,
        layout.profile.c().start + lane,
    );
    let cell = layout.rows[row].expect("a row that is looked up holds a cell");
    let (index, lanes) = (cell.tensor as usize, layout.profile.lanes);
    let positions = layout.tensors[index].order.len();
    let at = (cell.group as usize * positions + cell.position as usize) * lanes + lane;
    let tag = layout.fixed[fixed::TAG][row] as i32;
    let value = witness.lanes[a][row];
    for lie in [value - 1, value + 1] {
        let Some((image, entry)) = layout.tables.look_up(tag, lie) else {
            continue;
        };
        let set = |witness: &mut Witness, value: i64, image: i64, entry: u32| {
            witness.lanes[a][row] = value;
            witness.consumed[index][at] = image;
            let entry_before = std::mem::replace(&mut witness.lookups[lane][row], entry);
            witness.multiplicities[entry_before as usize] -= 1;
            witness.multiplicities[entry as usize] += 1;
            let image_before = std::mem::replace(&mut witness.lanes[c][row], image);
            (image_before, entry_before)
        };
        let (image_before, entry_before) = set(witness, lie, image, entry as u32);
        rejected(witness, "another entry of the table");
        set(witness, value, image_before, entry_before);
        return;
    }
}

/// The mock prover says the same.
pub(super) fn mock_prover_agrees(layout: Arc<Layout>, witness: Witness) {
    let instance = witness.scalars(&layout.profile);
    let k = layout.k;
    let circuit = ModelCircuit::with_witness(layout, Arc::new(witness));
    let prover = MockProver::run(k, &circuit, instance).expect("it runs");
    assert_eq!(prover.verify(), Ok(()), "the mock prover");
}
