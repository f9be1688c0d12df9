//! Circuits that say something else than the model while every honest proof of theirs is accepted: what a prover's witness, made
//! from the same plan, never shows.

use super::{SMALL, planned};
use crate::check::statement;
use crate::layout::{Layout, Shown, Visibility, plan};
use crate::model::{Model, Op, Shape, SumPool, Term};
use crate::profile::fixed;
use crate::testing::{self, Builder, SIGNED};

/// What is wrong with a circuit of a model.
fn fault(model: &Model, layout: &Layout) -> String {
    statement(model, layout)
        .expect_err("it is not the model")
        .what
}

/// A mean over windows of one element, padded by `(top, left, bottom, right)`.
fn mean_of_one(pads: (usize, usize, usize, usize)) -> Model {
    let mut b = Builder::new("padded mean", 8, (1, 2, 3, 3));
    let pool = SumPool {
        channels: 2,
        kernel: (1, 1),
        stride: (1, 1),
        pads,
        multiplier: 65_536,
    };
    let term = Term {
        source: 0,
        channel: 0,
        op: Op::SumPool(pool),
    };
    let shape = Shape {
        n: 1,
        c: 2,
        h: 3 + pads.0 + pads.2,
        w: 3 + pads.1 + pads.3,
    };
    let hidden = b.push(vec![term], shape, SIGNED);
    b.finish(hidden, 2)
}

/// The padding in front is ignored: `y[p] = x[p]` in place of `y[p] = x[p - 1]`.
#[test]
fn padding_that_is_ignored_is_found() {
    let (asked, made) = (mean_of_one((1, 1, 1, 1)), mean_of_one((0, 0, 2, 2)));
    let mut layout = plan(&made, SMALL, Visibility::default()).unwrap();
    assert_eq!(statement(&made, &layout), Ok(()));
    layout.model = asked.clone();
    assert!(statement(&asked, &layout).is_err());
    let layout = plan(&asked, SMALL, Visibility::default()).unwrap();
    assert_eq!(statement(&asked, &layout), Ok(()));
}

/// Two inputs of four channels each, one row each.
fn two_inputs() -> Model {
    let mut b = Builder::new("two inputs", 9, (1, 4, 1, 1));
    let second = b.model.nodes[0].clone();
    let shape = second.shape;
    b.model.nodes.push(second);
    b.model.inputs.push(testing::port("second", 1, shape));
    let (first, out) = b.dense(0, 3);
    let (second, _) = b.dense(1, 3);
    let node = b.push(vec![first, second], out, crate::model::Table::Raw);
    b.finish_at(node)
}

/// The range check of a value makes it enter the chain of consumed values: one that has no weight of its own there shifts
/// the values of the row whose weight it has.
#[test]
fn values_that_enter_with_their_neighbours_weight_are_found() {
    let model = two_inputs();
    let mut layout = plan(&model, SMALL, Visibility::default()).unwrap();
    assert_eq!(statement(&model, &layout), Ok(()));
    let rows: Vec<usize> = (0..layout.rows.len())
        .filter(|row| layout.fixed[fixed::CONSUME].get(*row) == Some(&1))
        .collect();
    let [first, second] = rows[..] else {
        panic!("a row for each input")
    };
    // The walk from one input to the other is taken after both.
    for row in first + 1..=second {
        layout.fixed[fixed::CONS_NUM][row] = 1;
        layout.fixed[fixed::CONS_DEN][row - 1] = 1;
    }
    let fault = fault(&model, &layout);
    assert!(fault.contains("share the exponent"), "{fault}");
    // A value that enters before the chain starts is bound to nothing at all, or to 0.
    let mut layout = plan(&model, SMALL, Visibility::default()).unwrap();
    layout.fixed[fixed::CONS_NUM][second] = 0;
    assert!(statement(&model, &layout).is_err());
}

#[test]
fn a_planned_input_that_nobody_reads_is_refused_or_found() {
    let mut model = two_inputs();
    let crate::model::Kind::Linear(linear) = &mut model.nodes[2].kind else {
        panic!("a layer")
    };
    linear.terms.truncate(1);
    if let Ok(layout) = plan(&model, SMALL, Visibility::default()) {
        assert!(statement(&model, &layout).is_err());
    }
}

#[test]
fn public_elements_without_a_place_are_found() {
    let mut b = Builder::new("stride over inputs", 3, (1, 1, 4, 4));
    let (term, shape) = b.conv(0, 2, (1, 2, 1, 0, 1));
    let hidden = b.push(vec![term], shape, SIGNED);
    let model = b.finish(hidden, 2);
    if let Ok(layout) = planned(&model, SMALL, Shown::Public, Shown::Public)
        && layout.public().len() != 18
    {
        assert!(fault(&model, &layout).contains("has no place"));
    }
    for model in testing::layer_kinds() {
        let layout = || planned(&model, SMALL, Shown::Public, Shown::Public).unwrap();
        for i in 0..layout().public.len() {
            let mut lost = layout();
            lost.public.remove(i);
            assert!(fault(&model, &lost).contains("has no place"));
            let mut moved = layout();
            let other = moved.public[(i + 1) % moved.public.len()];
            (moved.public[i].row, moved.public[i].lane) = (other.row, other.lane);
            assert!(statement(&model, &moved).is_err());
            let mut crossed = layout();
            let j = (i + 1) % crossed.public.len();
            let (a, b) = (crossed.public[i].element, crossed.public[j].element);
            (crossed.public[i].element, crossed.public[j].element) = (b, a);
            assert!(a == b || statement(&model, &crossed).is_err());
        }
    }
}

/// Limbs and a function under one tag: a remainder could be any argument of the function, and the other way round.
#[test]
fn limbs_that_share_a_tag_are_found() {
    for model in testing::layer_kinds() {
        let mut layout = plan(&model, SMALL, Visibility::default()).unwrap();
        let tags = (0..SMALL.tables).map(|t| SMALL.table(t)[2]);
        for column in tags.chain([fixed::TAG]) {
            for tag in layout.fixed[column].iter_mut().filter(|tag| **tag > 1) {
                *tag -= 1;
            }
        }
        assert!(statement(&model, &layout).is_err());
    }
}

/// With other cells in the rows the weights are not the model's.
#[test]
fn hints_are_not_believed() {
    for model in testing::layer_kinds() {
        let layout = || plan(&model, SMALL, Visibility::default()).unwrap();
        let held: Vec<usize> = (0..layout().rows.len())
            .filter(|row| layout().rows[*row].is_some())
            .collect();
        for pair in held.windows(2) {
            let mut swapped = layout();
            swapped.rows.swap(pair[0], pair[1]);
            // Rows of full products and of the constant lane hold no cell that anybody reads.
            let idle = |row: usize| {
                let of = |column: usize| layout().fixed[column].get(row).copied().unwrap_or(0);
                of(fixed::CONSUME) == 0 && of(fixed::INSTANCE) == 0
            };
            let both_free = idle(pair[0]) && idle(pair[1]);
            assert!(
                statement(&model, &swapped).is_err() || both_free,
                "{} {pair:?}",
                model.name
            );
        }
    }
}
