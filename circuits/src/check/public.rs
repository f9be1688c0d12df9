//! Every element of a public tensor has one slot of the instance columns, in the row and lane of its own cell.

use super::CheckError;
use super::cells::Held;
use super::columns::Columns;
use crate::layout::{Layout, Shown};
use crate::profile::fixed;

/// Compares the public places with the cells that the rows hold.
pub(super) fn places(
    columns: &Columns<'_>,
    layout: &Layout,
    held: &[Option<Held>],
) -> Result<(), CheckError> {
    let model = &layout.model;
    let outputs = model.outputs.iter().map(|p| (p, layout.visibility.output));
    let inputs = model.inputs.iter().map(|p| (p, layout.visibility.input));
    let ports: Vec<_> = outputs.chain(inputs).collect();
    let mut seen: Vec<Vec<bool>> = ports
        .iter()
        .map(|(port, shown)| match shown {
            Shown::Public => vec![false; model.nodes[port.node].shape.len()],
            Shown::Private | Shown::Hashed => Vec::new(),
        })
        .collect();
    for place in layout.public() {
        let fail = |what: &str| CheckError::at(place.row, what).lane(place.lane);
        let (port, _) = *ports
            .get(place.port)
            .ok_or_else(|| fail("a public value of a port that does not exist"))?;
        let node = &model.nodes[port.node];
        let fail = |what: &str| fail(what).node(&node.name);
        let cell = held
            .get(place.row)
            .copied()
            .flatten()
            .filter(|cell| layout.tensors[cell.tensor].node == port.node);
        let at = cell.and_then(|cell| Some((cell.channel + place.lane, cell.at?)));
        let (c, (n, y, x)) =
            at.ok_or_else(|| fail("a public value where its tensor has no cell"))?;
        let s = node.shape;
        let element = ((n * s.c + c) * s.h + y) * s.w + x;
        let own = place.lane < columns.profile.lanes && c < s.c && element == place.element;
        if !own
            || columns.at(fixed::INSTANCE, place.row) == 0
            || place.row >= layout.instance_rows()
        {
            return Err(fail("a public value at another cell than its own"));
        }
        match seen[place.port].get_mut(element) {
            Some(seen) if !*seen => *seen = true,
            _ => {
                return Err(fail(
                    "a public value twice, or of a tensor that is not public",
                ));
            }
        }
    }
    for ((port, _), seen) in ports.iter().zip(&seen) {
        if let Some(element) = seen.iter().position(|seen| !seen) {
            let what = format!("element {element} of the public tensor has no place");
            return Err(CheckError::new(what).node(&model.nodes[port.node].name));
        }
    }
    Ok(())
}
