//! Every weakening of what a key commits to is noticed by the checker of the fixed columns (`crate::check`).
//!
//! Tags, tables and their extents, ranges of exponents, orders and windows, each as a planner would write it that got it
//! wrong, so that all that follows from it agrees; other models, other digests, other places of public values. Cells one by
//! one are changed in `crate::check::tests`.

use std::sync::Mutex;

use rayon::prelude::*;

use super::{BOTH, FOLDED, HASHED, OUTPUT, SMALL, TABLES};
use crate::check::statement;
use crate::hash::Packing;
use crate::layout::{Layout, Position, Tensor, Visibility, plan, plan_with};
use crate::model::{Kind, Model, Op, Table};
use crate::profile::{Profile, fixed};
use crate::testing;
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;

/// A model as it is laid out.
struct Case {
    model: Model,
    profile: Profile,
    visibility: Visibility,
    /// What was not noticed.
    missed: Mutex<Vec<String>>,
}

impl Case {
    fn new(model: Model, profile: Profile, visibility: Visibility) -> Self {
        let hash = visibility.hashes();
        let profile = Profile { hash, ..profile };
        Case {
            model,
            profile,
            visibility,
            missed: Mutex::default(),
        }
    }

    fn layout(&self) -> Layout {
        plan(&self.model, self.profile, self.visibility).expect("the model fits")
    }

    /// The honest layout, changed.
    fn notices(&self, what: &str, change: impl FnOnce(&mut Layout)) {
        let mut layout = self.layout();
        change(&mut layout);
        self.judge(what, &layout);
    }

    /// A layout that follows from other tensors, where there is one.
    fn notices_tensors(&self, what: &str, change: impl FnOnce(&mut [Tensor])) {
        // What the planner refuses by itself is noticed too.
        if let Ok(layout) = plan_with(&self.model, self.profile, self.visibility, change) {
            self.judge(what, &layout);
        }
    }

    fn judge(&self, what: &str, layout: &Layout) {
        if statement(&self.model, layout).is_ok() {
            self.missed.lock().unwrap().push(what.to_owned());
        }
    }

    fn done(&self) {
        let missed = self.missed.lock().unwrap();
        assert_eq!(*missed, Vec::<String>::new(), "{}", self.name());
    }

    fn name(&self) -> String {
        format!("{} in {}", self.model.name, self.profile.name())
    }
}

/// Each kind of layer, folded and not, hashed and not.
fn cases() -> Vec<Case> {
    let kinds = testing::layer_kinds().into_iter();
    let mut out: Vec<Case> = kinds
        .flat_map(|model| {
            [(SMALL, OUTPUT), (FOLDED, BOTH), (TABLES, HASHED)]
                .map(|(profile, visibility)| Case::new(model.clone(), profile, visibility))
        })
        .collect();
    // Five limbs.
    let profile = Profile { limbs: 5, ..SMALL };
    out.push(Case::new(testing::tied(), profile, OUTPUT));
    out
}

#[test]
fn honest_layouts_are_accepted() {
    for case in cases() {
        assert_eq!(
            statement(&case.model, &case.layout()),
            Ok(()),
            "{}",
            case.name()
        );
    }
}

/// Rows `(in, out, tag)` of all tables.
struct Entries(Vec<[i64; 3]>);

impl Entries {
    fn of(layout: &Layout) -> Self {
        let p = &layout.profile;
        let row = |table: usize, row: usize| {
            let columns = p.table(table).map(|column| &layout.fixed[column]);
            columns.map(|column| column.get(row).copied().unwrap_or(0))
        };
        let rows = layout.last_row();
        let all = (0..p.tables).flat_map(|table| (0..rows).map(move |at| row(table, at)));
        Entries(all.filter(|entry| *entry != [0; 3]).collect())
    }

    /// Other tables, from the first row of the first on.
    fn write(&self, layout: &mut Layout) {
        let (rows, p) = (layout.last_row(), layout.profile);
        assert!(self.0.len() < rows * p.tables, "there are spare rows");
        for table in 0..p.tables {
            for (i, column) in p.table(table).into_iter().enumerate() {
                let entries = self.0.iter().skip(table * rows).take(rows);
                layout.fixed[column] = entries.map(|entry| entry[i]).collect();
                layout.fixed[column].resize(rows, 0);
            }
        }
    }

    /// Whether two tags have one function on a range and 0, which unused lanes look up.
    fn agree(&self, tag: i32, other: i32, (lo, hi): (i64, i64)) -> bool {
        let of = |tag: i32, x: i64| {
            let entry = self.0.iter().find(|e| (e[0], e[2]) == (x, tag.into()));
            entry.map(|entry| entry[1])
        };
        (lo.min(0)..=hi.max(0)).all(|x| of(tag, x) == of(other, x))
    }

    /// The least and the greatest argument of a tag.
    fn ends(&self, tag: i64) -> (i64, i64) {
        let of = self.0.iter().filter(|entry| entry[2] == tag);
        let of: Vec<i64> = of.map(|entry| entry[0]).collect();
        (*of.iter().min().unwrap(), *of.iter().max().unwrap())
    }
}

/// Renames tags in the rows and in the tables.
fn rename(layout: &mut Layout, of: impl Fn(i64) -> i64) {
    let mut columns = vec![fixed::TAG];
    columns.extend((0..layout.profile.tables).map(|table| layout.profile.table(table)[2]));
    for column in columns {
        layout.fixed[column]
            .iter_mut()
            .for_each(|tag| *tag = of(*tag));
    }
}

/// Tags, and which arguments a table has.
#[test]
fn other_tags_and_tables_are_noticed() {
    for case in cases() {
        let entries = Entries::of(&case.layout());
        case.notices("function tags start at the limbs'", |layout| {
            rename(layout, |tag| if tag > 1 { tag - 1 } else { tag });
        });
        let tags = entries.0.iter().map(|entry| entry[2]).max().unwrap();
        for tag in 2..=tags {
            let others = (1..tag).chain([0]);
            for other in others {
                case.notices("two functions share a tag", |layout| {
                    rename(layout, |t| if t == tag { other } else { t });
                });
            }
        }
        for tag in 1..=tags {
            let (low, high) = entries.ends(tag);
            for end in [low, high] {
                case.notices("a table lacks an end", |layout| {
                    let mut left = Entries(entries.0.clone());
                    left.0.retain(|entry| (entry[0], entry[2]) != (end, tag));
                    left.write(layout);
                });
            }
            // A second image of an argument.
            case.notices("a table with two values of one argument", |layout| {
                let mut more = Entries(entries.0.clone());
                let entry = *more.0.iter().find(|entry| entry[2] == tag).unwrap();
                more.0.push([entry[0], entry[1] + 1, tag]);
                more.write(layout);
            });
            let layout = case.layout();
            let input = layout.tensors.iter().any(|tensor| {
                let kind = &layout.model.nodes[tensor.node].kind;
                matches!(kind, Kind::Input { .. }) && i64::from(tensor.tag) == tag
            });
            // What checks a range has that range and no more.
            if tag == 1 || input {
                for x in [low - 1, high + 1] {
                    case.notices("a range wider by one", |layout| {
                        let mut more = Entries(entries.0.clone());
                        more.0.push([x, if tag == 1 { 0 } else { x }, tag]);
                        more.write(layout);
                    });
                }
            }
        }
        case.done();
        // Where the tables stand is free.
        let mut layout = case.layout();
        entries.write(&mut layout);
        assert_eq!(statement(&case.model, &layout), Ok(()), "{}", case.name());
    }
}

/// Exponents, tags, planes, windows and orders, with everything that follows from them.
#[test]
fn other_tensors_are_noticed() {
    for case in cases() {
        let layout = case.layout();
        let entries = Entries::of(&layout);
        let (lanes, count) = (case.profile.lanes, layout.tensors.len());
        for i in 0..count {
            let input = matches!(
                layout.model.nodes[layout.tensors[i].node].kind,
                Kind::Input { .. }
            );
            for j in (0..count).filter(|j| *j != i) {
                let other = &layout.tensors[j];
                // Two tensors' ranges begin together, or meet in their last group or plane.
                for (what, base) in [
                    ("two ranges of accumulators begin together", other.base_p),
                    (
                        "two ranges of accumulators share a group",
                        other.base_p + other.range_p(&case.profile) - lanes,
                    ),
                ] {
                    let weighed = |t: &Tensor| t.order.iter().any(|row| row.prod.is_some());
                    if weighed(other) && weighed(&layout.tensors[i]) {
                        case.notices_tensors(what, |tensors| tensors[i].base_p = base);
                    }
                }
                if other.consumed && layout.tensors[i].consumed {
                    let end = other.base_c + other.range_c(&case.profile) - lanes;
                    for base in [other.base_c, end] {
                        let what = "two ranges of consumed values share a group";
                        case.notices_tensors(what, |tensors| tensors[i].base_c = base);
                    }
                }
                other_tags(&case, &layout, &entries, (i, j));
            }
            tensor_weakenings(&case, &layout, i, input);
        }
        case.done();
    }
}

/// Another tensor's tag, where it is no tag of the same function.
fn other_tags(case: &Case, layout: &Layout, entries: &Entries, (i, j): (usize, usize)) {
    let (tensor, tag) = (&layout.tensors[i], layout.tensors[j].tag);
    if tag == 0 || tensor.tag == 0 {
        return;
    }
    let (input, clamped) = match &layout.model.nodes[tensor.node].kind {
        Kind::Input { .. } => (true, false),
        // The growth of a maximum from 0 on may saturate where its reader clamps, or not.
        Kind::Linear(linear) => (false, linear.pool.is_some_and(|pool| pool.from_zero)),
    };
    if clamped {
        return;
    }
    let bounds = crate::quantize::bounds(&layout.model).expect("the model fits")[tensor.node];
    // An input's table is its range: another is wrong even if it has the same values.
    if input || !entries.agree(tensor.tag, tag, bounds.a) {
        let what = format!("node {}: tag {tag}", tensor.node);
        case.notices_tensors(&what, |tensors| tensors[i].tag = tag);
    }
    let windows = tensor.order.iter().any(|row| row.window.is_some());
    if windows && !entries.agree(tensor.first_tag, tag, bounds.x) {
        let what = format!("node {}: tag {tag} of first rows", tensor.node);
        case.notices_tensors(&what, |tensors| tensors[i].first_tag = tag);
    }
}

fn tensor_weakenings(case: &Case, layout: &Layout, i: usize, input: bool) {
    let tensor = &layout.tensors[i];
    let change = |what: &str, change: &dyn Fn(&mut Tensor)| {
        case.notices_tensors(what, |tensors| change(&mut tensors[i]));
    };
    if tensor.tag != tensor.first_tag {
        change("a window's first row like the others", &|t| {
            t.first_tag = t.tag
        });
        change("a window's rows like its first", &|t| t.tag = t.first_tag);
    }
    if tensor.has_one {
        change("no place for the constant lane", &|t| t.has_one = false);
    }
    if !input {
        change("another origin", &|t| t.origin.0 += 1);
        change("another origin", &|t| t.origin.1 += 1);
    }
    if tensor.plane_ids.len() > 1 {
        change("planes exchanged", &|t| t.plane_ids.swap(0, 1));
    }
    let rows = &tensor.order;
    for a in 0..rows.len() {
        let b = (a + 1) % rows.len();
        // Of two accumulators that nobody checks either may be the other.
        let checked = [a, b].iter().any(|row| counts(tensor, &rows[*row]));
        if checked && rows[a].prod.is_some() && rows[a].prod != rows[b].prod {
            change("two accumulators of one weight", &|t| {
                t.order[a].prod = t.order[b].prod
            });
            if !input {
                change("weights of accumulators exchanged", &|t| {
                    (t.order[a].prod, t.order[b].prod) = (t.order[b].prod, t.order[a].prod);
                });
            }
        }
        // Of a row without a value only the place of the constant lane counts.
        let values = [a, b].map(|row| rows[row].at.is_some() && rows[row].cons.is_some());
        let matter = [a, b].iter().any(|row| is_read(layout, i, *row, false));
        if values == [true, true] && matter && rows[a].cons != rows[b].cons {
            change("weights of values exchanged", &|t| {
                (t.order[a].cons, t.order[b].cons) = (t.order[b].cons, t.order[a].cons);
            });
            change("two values of one weight", &|t| {
                t.order[a].cons = t.order[b].cons
            });
        }
        if rows[a].one && is_read(layout, i, a, true) {
            change("a bias less", &|t| t.order[a].one = false);
        }
        if let Some((at, len)) = rows[a].window {
            for window in [None, Some(((at + 1) % len, len))] {
                if part_of_window(tensor, rows[a].window) != part_of_window(tensor, window) {
                    change("a window's row in another place", &|t| {
                        t.order[a].window = window
                    });
                }
            }
        }
    }
}

/// What the place in a window decides, for walks in both directions: whether the first row's function is looked up, and
/// whether the maximum goes on.
fn part_of_window(tensor: &Tensor, window: Option<(usize, usize)>) -> Vec<(bool, bool)> {
    let (at, len) = window.unwrap_or((1, 1));
    let mut places = vec![at];
    if tensor.alternate && tensor.groups > 1 {
        places.push((len - 1).saturating_sub(at));
    }
    let other_first = tensor.tag != tensor.first_tag;
    let part = |at: usize| (other_first && at == 0, at + 1 < len);
    places.into_iter().map(part).collect()
}

/// Whether an accumulator is looked up or an output; others only complete a full product.
fn counts(tensor: &Tensor, row: &Position) -> bool {
    row.at.is_some() && (row.cons.is_some() || !tensor.consumed)
}

/// Whether an accumulator that counts reads a tensor's position: a value of it, or its constant lane.
fn is_read(layout: &Layout, tensor: usize, position: usize, constant: bool) -> bool {
    let Some(at) = layout.tensors[tensor].order[position].cons else {
        return false;
    };
    let chunks = layout.chunks.iter().filter(|c| c.tensor == tensor);
    let of = chunks.filter(|c| match c.source {
        None => constant,
        Some((plane, _)) => !constant && plane == at.plane,
    });
    of.flat_map(|c| &c.taps).any(|tap| {
        let to = &layout.tensors[tap.to];
        let found = |row: &Position| {
            row.prod
                .is_some_and(|p| (p.y, p.x) == (at.y + tap.shift.0, at.x + tap.shift.1))
        };
        !tap.weights.is_empty() && to.order.iter().any(|row| counts(to, row) && found(row))
    })
}

/// Whether two models are one but for what their tables say where no argument lies.
fn same_functions(model: &Model, other: &Model) -> bool {
    let bounds = crate::quantize::bounds(model).expect("the model fits");
    let nodes = model.nodes.iter().zip(&other.nodes).zip(&bounds);
    nodes
        .into_iter()
        .all(|((node, other), bounds)| match (&node.kind, &other.kind) {
            (Kind::Linear(a), Kind::Linear(b)) => {
                let table = a.table.clone();
                let (lo, hi) = bounds.m;
                let same = |x: i64| a.table.eval(x) == b.table.eval(x);
                *a == crate::model::Linear { table, ..b.clone() }
                    && (a.table == b.table || (lo..=hi).all(same))
            }
            (a, b) => a == b,
        })
}

/// All models that differ in one number.
fn neighbours(model: &Model) -> Vec<(&'static str, Model)> {
    let mut out = Vec::new();
    let mut push = |what: &'static str, change: &dyn Fn(&mut Model)| {
        let mut other = model.clone();
        change(&mut other);
        if crate::validate::validate(&other).is_ok() {
            out.push((what, other));
        }
    };
    for id in 0..model.nodes.len() {
        let Kind::Linear(linear) = &model.nodes[id].kind else {
            for by in [(-1, 0), (1, 0), (0, -1), (0, 1)] {
                push("another input range", &|m| {
                    if let Kind::Input { lo, hi } = &mut m.nodes[id].kind {
                        (*lo, *hi) = (*lo + by.0, *hi + by.1);
                    }
                });
            }
            continue;
        };
        let push = &mut |what, change: &dyn Fn(&mut crate::model::Linear)| {
            push(what, &|m| {
                if let Kind::Linear(linear) = &mut m.nodes[id].kind {
                    change(linear);
                }
            });
        };
        for i in 0..linear.bias.len() {
            push("another bias", &|l| l.bias[i] += 1);
        }
        push("another table", &|l| match &mut l.table {
            Table::Clip { lo, .. } => *lo -= 1,
            Table::Lut { values, .. } => values[0] += 1,
            Table::Raw | Table::Identity => {}
        });
        push("another table", &|l| match &mut l.table {
            Table::Clip { hi, .. } => *hi += 1,
            Table::Lut { lo, .. } => *lo += 1,
            Table::Raw | Table::Identity => {}
        });
        push("without a shift", &|l| l.requantize = false);
        push("another maximum", &|l| {
            if let Some(pool) = &mut l.pool {
                pool.from_zero = !pool.from_zero;
            }
        });
        for term in 0..linear.terms.len() {
            weights_of(&linear.terms[term].op, term, push);
        }
    }
    out.retain(|(_, other)| !same_functions(model, other));
    out
}

type Push<'a> = &'a mut dyn FnMut(&'static str, &dyn Fn(&mut crate::model::Linear));

fn weights_of(op: &Op, term: usize, push: Push<'_>) {
    let count = match op {
        Op::Conv(conv) => conv.weights.len(),
        Op::Dense { weights, .. } => weights.len(),
        Op::SumPool(_) => 1,
        Op::Map { entries, .. } => entries.len(),
    };
    for i in 0..count {
        for by in [-1, 1] {
            push("another weight", &|l| match &mut l.terms[term].op {
                Op::Conv(conv) => conv.weights[i] += by,
                Op::Dense { weights, .. } => weights[i] += by,
                Op::SumPool(pool) => pool.multiplier += by,
                Op::Map { entries, .. } => entries[i].2 += by,
            });
        }
        push("a weight elsewhere", &|l| {
            if let Op::Map { entries, .. } = &mut l.terms[term].op {
                entries[i].0 ^= 1;
            }
        });
    }
    let shifted = |pads: &mut (usize, usize, usize, usize)| {
        if pads.0 > 0 {
            (pads.0, pads.2) = (pads.0 - 1, pads.2 + 1);
        } else if pads.1 > 0 {
            (pads.1, pads.3) = (pads.1 - 1, pads.3 + 1);
        }
    };
    push("other pads", &|l| match &mut l.terms[term].op {
        Op::Conv(conv) => shifted(&mut conv.pads),
        Op::SumPool(pool) => shifted(&mut pool.pads),
        Op::Dense { .. } | Op::Map { .. } => {}
    });
}

/// The columns of a model that differs in one number are not this one's.
#[test]
fn other_models_are_noticed() {
    for case in cases() {
        let others = neighbours(&case.model);
        others.par_iter().for_each(|(what, other)| {
            let Ok(mut layout) = plan(other, case.profile, case.visibility) else {
                return;
            };
            let honest = case.layout();
            layout.model = honest.model;
            case.judge(what, &layout);
        });
        case.done();
    }
}

/// Each public value where it is, each digest of what it is.
#[test]
fn other_public_values_are_noticed() {
    for case in cases() {
        let layout = case.layout();
        for i in 0..layout.public.len() {
            let j = (i + 1) % layout.public.len();
            case.notices("a public value less", |l| {
                l.public.remove(i);
            });
            case.notices("a public value twice", |l| l.public.push(l.public[i]));
            if layout.public[i].element != layout.public[j].element {
                case.notices("public values exchanged", |l| {
                    (l.public[i].element, l.public[j].element) =
                        (l.public[j].element, l.public[i].element);
                });
            }
            case.notices("another row", |l| l.public[i].row += 1);
            case.notices("another lane", |l| l.public[i].lane ^= 1);
            case.notices("another port", |l| l.public[i].port += 1);
            case.notices("another element", |l| l.public[i].element += 1);
        }
        for i in 0..layout.hash.digests.len() {
            case.notices("another number of values", |l| l.hash.digests[i].count += 1);
            case.notices("another instance column", |l| l.hash.digests[i].lane += 1);
            case.notices("a digest less", |l| {
                l.hash.digests.remove(i);
            });
            let packing = layout.hash.digests[i].packing;
            let (lo, bits) = (packing.lo(), packing.bits());
            for (lo, bits) in [
                (lo - 1, bits),
                (lo + 1, bits),
                (lo, bits + 1),
                (lo, bits - 1),
            ] {
                case.notices("another packing", |l| {
                    l.hash.digests[i].packing = Packing::try_from((lo, bits)).unwrap();
                });
            }
        }
        if layout.hash.digests.len() > 1 {
            case.notices("digests exchanged", |l| {
                (l.hash.digests[0].side, l.hash.digests[1].side) =
                    (l.hash.digests[1].side, l.hash.digests[0].side);
            });
        }
        let rows = 0..layout.hash.constants.len();
        rows.into_par_iter().step_by(3).for_each(|row| {
            case.notices("another constant of the hash", |l| {
                l.hash.constants[row] += Fr::ONE
            });
        });
        case.done();
    }
}
