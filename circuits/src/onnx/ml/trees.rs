//! Tree ensembles: the forms with one list a property, and the newer one with tensors.

use std::collections::{HashMap, HashSet};

use tract_onnx::pb::{TensorProto, tensor_proto::DataType};

use super::{
    forest::{Child, Forest, Scores, Split, Test},
    labels, linear,
    scores::{self, Pair, Post},
};
use crate::{
    graph::NodeId,
    onnx::{ImportError, attributes::NodeView, build::Builder},
};

/// `aggregate_function`, as a factor of the sum: a name, or a number for TreeEnsemble.
fn share(node: &NodeView, trees: usize) -> Result<f32, ImportError> {
    let name = node.string("aggregate_function").unwrap_or_default();
    let code = node.int("aggregate_function").unwrap_or(1);
    match (name.as_str(), code) {
        ("SUM", _) | ("", 1) => Ok(1.0),
        ("AVERAGE", _) | ("", 0) => Ok(1.0 / trees as f32),
        _ => Err(node.form(format!(
            "aggregate_function {name} ({code}); supported are SUM and AVERAGE"
        ))),
    }
}

/// The forest of the older operators; `role` is `class` or `target`.
fn read(node: &NodeView, role: &str) -> Result<Forest, ImportError> {
    refuse_doubles(node)?;
    let ints = |name: &str, count: Option<usize>| -> Result<&[i64], ImportError> {
        let list = node.ints(name).unwrap_or_default();
        match count {
            Some(count) if count != list.len() => Err(node.form(format!(
                "attribute {name} has {} entries, expected {count}",
                list.len()
            ))),
            _ => Ok(list),
        }
    };
    let modes = node.strings("nodes_modes").unwrap_or_default();
    let count = Some(modes.len());
    let trees = ints("nodes_treeids", count)?;
    let ids = ints("nodes_nodeids", count)?;
    let features = ints("nodes_featureids", count)?;
    let yes = ints("nodes_truenodeids", count)?;
    let no = ints("nodes_falsenodeids", count)?;
    let values = node.floats("nodes_values").unwrap_or_default();
    if values.len() != modes.len() || modes.is_empty() {
        return Err(node.form(format!(
            "it has {} modes and {} values of nodes",
            modes.len(),
            values.len()
        )));
    }
    let mut places: HashMap<(i64, i64), Child> = HashMap::new();
    let (mut split_count, mut leaf_count) = (0, 0);
    for (i, mode) in modes.iter().enumerate() {
        let count = if mode == "LEAF" {
            &mut leaf_count
        } else {
            &mut split_count
        };
        let child = if mode == "LEAF" {
            Child::Leaf(*count)
        } else {
            Child::Split(*count)
        };
        *count += 1;
        if places.insert((trees[i], ids[i]), child).is_some() {
            return Err(node.form(format!("tree {} has two nodes {}", trees[i], ids[i])));
        }
    }
    let mut splits = Vec::with_capacity(split_count);
    let mut is_child: HashSet<(i64, i64)> = HashSet::new();
    for (i, mode) in modes.iter().enumerate().filter(|(_, mode)| *mode != "LEAF") {
        let mut child = |id: i64| {
            let place = (trees[i], id);
            is_child.insert(place);
            let missing = || node.form(format!("tree {} has no node {id}", trees[i]));
            places.get(&place).copied().ok_or_else(missing)
        };
        splits.push(Split {
            feature: usize::try_from(features[i]).unwrap_or(usize::MAX),
            test: test(node, mode, values[i])?,
            children: [child(yes[i])?, child(no[i])?],
        });
    }
    let places_in_order = (0..modes.len()).map(|i| (trees[i], ids[i]));
    let roots = places_in_order
        .filter(|place| !is_child.contains(place))
        .map(|place| places[&place])
        .collect();
    let weights = node.floats(&format!("{role}_weights")).unwrap_or_default();
    let count = Some(weights.len());
    let of_tree = ints(&format!("{role}_treeids"), count)?;
    let of_node = ints(&format!("{role}_nodeids"), count)?;
    let score = ints(&format!("{role}_ids"), count)?;
    let mut leaves = vec![Vec::new(); leaf_count];
    for (i, &weight) in weights.iter().enumerate() {
        let Some(Child::Leaf(leaf)) = places.get(&(of_tree[i], of_node[i])) else {
            return Err(node.form(format!(
                "a weight belongs to node {} of tree {}, which is no leaf",
                of_node[i], of_tree[i]
            )));
        };
        leaves[*leaf].push((usize::try_from(score[i]).unwrap_or(usize::MAX), weight));
    }
    Ok(Forest {
        splits,
        leaves,
        roots,
    })
}

fn test(node: &NodeView, mode: &str, value: f32) -> Result<Test, ImportError> {
    Ok(match mode {
        "BRANCH_LEQ" => Test::AtMost(value),
        "BRANCH_LT" => Test::Less(value),
        "BRANCH_GTE" => Test::AtLeast(value),
        "BRANCH_GT" => Test::Greater(value),
        "BRANCH_EQ" => Test::Equal(value),
        "BRANCH_NEQ" => Test::NotEqual(value),
        other => return Err(node.form(format!("node mode {other} is unknown"))),
    })
}

fn refuse_doubles(node: &NodeView) -> Result<(), ImportError> {
    for name in [
        "nodes_values_as_tensor",
        "class_weights_as_tensor",
        "target_weights_as_tensor",
        "base_values_as_tensor",
    ] {
        if node.tensor(name).is_some() {
            return Err(node.form(format!(
                "attribute {name} is for double inputs; export the model for float32"
            )));
        }
    }
    Ok(())
}

/// Scores and labels, as ONNX Runtime gives them.
pub(super) fn classifier(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = linear::operand(ctx, node)?;
    let labels = labels::of(node, "classlabels_int64s")?;
    let post = Post::of(node)?;
    let forest = read(node, "class")?;
    let base = node.floats("base_values").unwrap_or_default();
    let classes = labels.len();
    let weights = || forest.leaves.iter().flatten();
    let is_weighted = |class: usize| weights().any(|&(score, _)| score == class);
    if classes == 2 && is_weighted(0) != is_weighted(1) {
        return binary(ctx, node, x, &forest, labels, post);
    }
    if classes == 2 {
        return Err(node.form(
            "two classes have weights of both, which runtimes label in different ways; export one weight a leaf",
        ));
    }
    if !base.is_empty() && base.len() != classes {
        return Err(node.form(format!("{} base values for {classes} classes", base.len())));
    }
    // A class without weight on any leaf that is reached has no score, and cannot win, unless it has a base value.
    let is_positive = weights().all(|&(_, weight)| weight >= 0.0);
    if base.is_empty() && !is_positive && !(0..classes).all(|class| always_scored(node, class)) {
        return Err(node.form(
            "with negative weights, every class needs a tree whose leaves all name it, or a base value",
        ));
    }
    let scores = forest.scores(ctx, node, x, classes)?;
    let labelled = sums(ctx, node, &scores, 1.0, base);
    labels::define(ctx, node, labelled, labels)?;
    if node.output(1).is_some() {
        let shown = sums(ctx, node, &scores, 1.0, base);
        let shown = scores::transformed(ctx, node, shown, post)?;
        scores::define(ctx, node, 1, shown)?;
    }
    Ok(())
}

/// True where all leaves of some tree have a weight for a class.
fn always_scored(node: &NodeView, class: usize) -> bool {
    let trees = node.ints("nodes_treeids").unwrap_or_default();
    let modes = node.strings("nodes_modes").unwrap_or_default();
    let mut leaves: HashMap<i64, usize> = HashMap::new();
    for (&tree, mode) in trees.iter().zip(&modes) {
        *leaves.entry(tree).or_insert(0) += usize::from(mode == "LEAF");
    }
    let of_tree = node.ints("class_treeids").unwrap_or_default();
    let of_node = node.ints("class_nodeids").unwrap_or_default();
    let classes = node.ints("class_ids").unwrap_or_default();
    let mut named: HashMap<i64, HashSet<i64>> = HashMap::new();
    for ((&tree, &leaf), _) in of_tree
        .iter()
        .zip(of_node)
        .zip(classes)
        .filter(|(_, c)| **c == class as i64)
    {
        named.entry(tree).or_default().insert(leaf);
    }
    named
        .iter()
        .any(|(tree, named)| leaves.get(tree) == Some(&named.len()))
}

/// Two classes that share one score.
fn binary(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    forest: &Forest,
    labels: Vec<i32>,
    post: Post,
) -> Result<(), ImportError> {
    let mut base = node.floats("base_values").unwrap_or_default();
    let first = forest.leaves.iter().flatten().all(|&(score, _)| score == 0);
    if base.len() > 1 {
        return Err(node.form(format!(
            "{} base values for one score of two classes; supported is one",
            base.len()
        )));
    }
    if !first {
        // The value is class 0's; where all weights are class 1's, ONNX Runtime has no score to add it to.
        base = &[];
    }
    let is_positive = forest.leaves.iter().flatten().all(|&(_, w)| w >= 0.0);
    let mut scores = forest.scores(ctx, node, x, 2)?;
    scores.entries.iter_mut().for_each(|entry| entry.0 = 0);
    let constant = scores.constant.iter().sum();
    scores.constant = vec![constant];
    // Class 1 where the score exceeds the threshold: the later of two scores, if it is greater.
    let threshold = if is_positive { 0.5 } else { 0.0 };
    let entries = scores.entries.iter().map(|&(_, leaf, w)| (1, leaf, w));
    let offset = (constant + base.iter().map(|&b| f64::from(b)).sum::<f64>()) as f32;
    let against = scores::linear(
        ctx,
        node,
        scores.leaves,
        entries.collect(),
        vec![threshold, offset],
    );
    labels::define(ctx, node, against, labels)?;
    if node.output(1).is_none() {
        return Ok(());
    }
    let score = |ctx: &mut Builder, rows: &[(f32, f32)]| {
        let mut entries = Vec::new();
        for (row, &(factor, _)) in rows.iter().enumerate() {
            let of_row = |&(_, leaf, w): &(u32, u32, f32)| (row as u32, leaf, factor * w);
            entries.extend(scores.entries.iter().map(of_row));
        }
        let offsets = rows
            .iter()
            .map(|&(factor, summand)| factor * offset + summand);
        scores::linear(ctx, node, scores.leaves, entries, offsets.collect())
    };
    let shown = match (first, is_positive) {
        (true, true) => scores::pair(ctx, node, post, Pair::Complement, score),
        (true, false) => scores::pair(ctx, node, post, Pair::Opposite, score),
        // Class 0 has the score 0.
        (false, _) => {
            let both = score(ctx, &[(0.0, 0.0), (1.0, 0.0)]);
            scores::transformed(ctx, node, both, post)?
        }
    };
    scores::define(ctx, node, 1, shown)
}

/// Appends the scores' sums, times a share, plus base values where there are any.
fn sums(ctx: &mut Builder, node: &NodeView, scores: &Scores, share: f32, base: &[f32]) -> NodeId {
    let entries = scores
        .entries
        .iter()
        .map(|&(s, leaf, w)| (s, leaf, w * share));
    let offset = |(i, constant): (usize, &f64)| {
        let base = base.get(i).copied().unwrap_or(0.0);
        (constant * f64::from(share)) as f32 + base
    };
    let offset = scores.constant.iter().enumerate().map(offset).collect();
    scores::linear(ctx, node, scores.leaves, entries.collect(), offset)
}

pub(super) fn regressor(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = linear::operand(ctx, node)?;
    let forest = read(node, "target")?;
    let targets = node.int("n_targets").unwrap_or(1);
    let base = node.floats("base_values").unwrap_or_default();
    regression(ctx, node, x, &forest, targets, base)
}

fn regression(
    ctx: &mut Builder,
    node: &NodeView,
    x: NodeId,
    forest: &Forest,
    targets: i64,
    base: &[f32],
) -> Result<(), ImportError> {
    let targets = usize::try_from(targets)
        .ok()
        .filter(|t| (1..1 << 16).contains(t));
    let targets = targets.ok_or_else(|| node.form("n_targets must be positive, below 2^16"))?;
    if !base.is_empty() && base.len() != targets {
        return Err(node.form(format!("{} base values for {targets} targets", base.len())));
    }
    let share = share(node, forest.roots.len())?;
    let scores = forest.scores(ctx, node, x, targets)?;
    let sums = sums(ctx, node, &scores, share, base);
    let shown = scores::transformed(ctx, node, sums, Post::of(node)?)?;
    scores::define(ctx, node, 0, shown)
}

/// The operator of opset 5: a list of interior nodes, a list of leaves, tensors of numbers.
pub(super) fn ensemble(ctx: &mut Builder, node: &NodeView) -> Result<(), ImportError> {
    let x = linear::operand(ctx, node)?;
    let list = |name: &str, count: usize| -> Result<&[i64], ImportError> {
        let list = node.ints(name).unwrap_or_default();
        if list.len() != count {
            return Err(node.form(format!(
                "attribute {name} has {} entries, expected {count}",
                list.len()
            )));
        }
        Ok(list)
    };
    let tensor = |name: &str| -> Result<Vec<f32>, ImportError> {
        let Some(tensor) = node.tensor(name) else {
            return Ok(Vec::new());
        };
        numbers(tensor).ok_or_else(|| {
            node.form(format!(
                "attribute {name} must hold float32 (modes: uint8) numbers"
            ))
        })
    };
    let values = tensor("nodes_splits")?;
    let modes = tensor("nodes_modes")?;
    let count = values.len();
    let features = list("nodes_featureids", count)?;
    let (yes, yes_leaf) = (
        list("nodes_truenodeids", count)?,
        list("nodes_trueleafs", count)?,
    );
    let (no, no_leaf) = (
        list("nodes_falsenodeids", count)?,
        list("nodes_falseleafs", count)?,
    );
    if modes.len() != count {
        return Err(node.form(format!("{} modes for {count} nodes", modes.len())));
    }
    let weights = tensor("leaf_weights")?;
    let targets = list("leaf_targetids", weights.len())?;
    let place = |id: i64, is_leaf: bool| {
        let bound = if is_leaf { weights.len() } else { count };
        let at = usize::try_from(id).ok().filter(|&at| at < bound);
        let at = at.ok_or_else(|| node.form(format!("node {id} does not exist")))?;
        Ok(if is_leaf {
            Child::Leaf(at)
        } else {
            Child::Split(at)
        })
    };
    // Members of each set, NaN behind every one.
    let members = tensor("membership_values")?;
    let mut members = members.split(|v| v.is_nan()).map(<[f32]>::to_vec);
    let mut split = |i: usize| -> Result<Split, ImportError> {
        let test = match modes[i] as u8 {
            0 => Test::AtMost(values[i]),
            1 => Test::Less(values[i]),
            2 => Test::AtLeast(values[i]),
            3 => Test::Greater(values[i]),
            4 => Test::Equal(values[i]),
            5 => Test::NotEqual(values[i]),
            6 => {
                let mut set = members.next().unwrap_or_default();
                set.sort_unstable_by(f32::total_cmp);
                set.dedup();
                Test::Among(set)
            }
            other => return Err(node.form(format!("node mode {other} is unknown"))),
        };
        Ok(Split {
            feature: usize::try_from(features[i]).unwrap_or(usize::MAX),
            test,
            children: [
                place(yes[i], yes_leaf[i] != 0)?,
                place(no[i], no_leaf[i] != 0)?,
            ],
        })
    };
    let splits = (0..count).map(&mut split).collect::<Result<_, _>>()?;
    let leaves = weights.iter().zip(targets);
    let leaves = leaves.map(|(&w, &t)| vec![(usize::try_from(t).unwrap_or(usize::MAX), w)]);
    let roots = node.ints("tree_roots").unwrap_or_default().iter();
    let forest = Forest {
        splits,
        leaves: leaves.collect(),
        roots: roots
            .map(|&id| place(id, false))
            .collect::<Result<_, _>>()?,
    };
    let targets = node.int("n_targets").unwrap_or(1);
    regression(ctx, node, x, &forest, targets, &[])
}

/// The elements of a tensor attribute.
fn numbers(tensor: &TensorProto) -> Option<Vec<f32>> {
    match DataType::try_from(tensor.data_type).ok()? {
        DataType::Float if tensor.raw_data.is_empty() => Some(tensor.float_data.clone()),
        DataType::Float => {
            let chunks = tensor.raw_data.chunks_exact(4);
            Some(
                chunks
                    .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                    .collect(),
            )
        }
        DataType::Uint8 if tensor.raw_data.is_empty() => {
            Some(tensor.int32_data.iter().map(|&v| v as f32).collect())
        }
        DataType::Uint8 => Some(tensor.raw_data.iter().map(|&v| f32::from(v)).collect()),
        _ => None,
    }
}
