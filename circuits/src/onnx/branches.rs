//! `If` on what is known: the branch that is taken stands in place of the node.
//!
//! A condition is known where it follows from constants and shapes. The nodes of the branch are checked and bounded as those of
//! the file are, and names that the branch makes get the node's name in front.

use std::collections::{HashMap, VecDeque};

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};

use super::{
    ImportError,
    attributes::NodeView,
    checks::MAX_NODES,
    parse::{self, Input},
    sizes::Known,
};

/// Replaces every `If` of the graph, those within branches included.
///
/// # Errors
/// [`ImportError::Form`] where a condition depends on the input.
pub(super) fn resolve(model: &mut ModelProto, batch: usize) -> Result<(), ImportError> {
    let is_if = |node: &NodeProto| NodeView::new(node).op() == "If";
    if !parse::graph(model)?.node.iter().any(is_if) {
        return Ok(());
    }
    let inputs: Vec<Input> = parse::fix_inputs(&mut model.clone(), batch)?;
    let mut known = Known::new(model, &inputs)?;
    let Some(graph) = &mut model.graph else {
        return Ok(());
    };
    let mut left: VecDeque<NodeProto> = std::mem::take(&mut graph.node).into();
    while let Some(proto) = left.pop_front() {
        if !is_if(&proto) {
            known.add(&proto)?;
            graph.node.push(proto);
            continue;
        }
        let node = NodeView::new(&proto);
        let condition = node.input(0).and_then(|name| known.truth(name));
        let taken = match condition {
            Some(true) => "then_branch",
            Some(false) => "else_branch",
            None => {
                return Err(node.form(
                    "its condition depends on the input; supported are conditions that follow from constants and shapes",
                ));
            }
        };
        let branch = proto.attribute.iter().find(|a| a.name == taken);
        let branch = branch.and_then(|attribute| attribute.g.as_ref());
        let branch = branch.ok_or_else(|| node.form(format!("it has no {taken}")))?;
        parse::check_graph(branch)?;
        if !branch.input.is_empty() || branch.output.len() != proto.output.len() {
            return Err(node.form(format!("its {taken} has other inputs or outputs than it")));
        }
        let (nodes, constants) = inlined(&node, branch);
        if nodes.len() + left.len() + graph.node.len() > MAX_NODES {
            return Err(node.form(format!(
                "with its branch the graph has more than {MAX_NODES} nodes"
            )));
        }
        for constant in constants {
            known.constant(&constant)?;
            graph.initializer.push(constant);
        }
        nodes
            .into_iter()
            .rev()
            .for_each(|node| left.push_front(node));
    }
    parse::check_graph(graph)
}

/// The nodes and constants of a branch under names of their own, and the copies that give the node's outputs their names.
fn inlined(
    node: &NodeView,
    branch: &GraphProto,
) -> (Vec<NodeProto>, Vec<tract_onnx::pb::TensorProto>) {
    let constants = branch.initializer.iter().map(|tensor| tensor.name.as_str());
    let made = branch.node.iter().flat_map(|node| &node.output);
    let made = made.map(String::as_str).filter(|name| !name.is_empty());
    let own = constants.chain(made);
    let prefix = node.name();
    let names: HashMap<&str, String> = own.map(|n| (n, format!("{prefix}/{n}"))).collect();
    let mut nodes = branch.node.clone();
    nodes.iter_mut().for_each(|node| rename(node, &names));
    let copies = branch.output.iter().zip(&node.proto().output);
    nodes.extend(copies.filter(|(_, to)| !to.is_empty()).map(|(from, to)| {
        let mut copy = NodeProto {
            op_type: "Identity".into(),
            input: vec![from.name.clone()],
            ..NodeProto::default()
        };
        rename(&mut copy, &names);
        copy.output = vec![to.clone()];
        copy
    }));
    let mut constants = branch.initializer.clone();
    for constant in &mut constants {
        constant.name.clone_from(&names[constant.name.as_str()]);
    }
    (nodes, constants)
}

/// Renames what a node reads and makes, within its own branches too.
fn rename(node: &mut NodeProto, names: &HashMap<&str, String>) {
    let within = |node: &mut NodeProto| {
        for name in node.input.iter_mut().chain(&mut node.output) {
            if let Some(new) = names.get(name.as_str()) {
                name.clone_from(new);
            }
        }
    };
    within(node);
    for graph in node.attribute.iter_mut().filter_map(|a| a.g.as_mut()) {
        graph.node.iter_mut().for_each(|node| rename(node, names));
        for output in &mut graph.output {
            if let Some(new) = names.get(output.name.as_str()) {
                output.name.clone_from(new);
            }
        }
    }
}
