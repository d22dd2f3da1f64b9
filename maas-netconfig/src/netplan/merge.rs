//! Several netplan files as one, by netplan's own rules.

use crate::yaml::{Node, NodeKind};

/// Lays one tree over another: mappings are merged key by key, lists are joined, scalars are
/// replaced by the later one.
pub(super) fn lay_over(below: &mut Node, above: Node) {
    match (&mut below.kind, above.kind) {
        (NodeKind::Map(below), NodeKind::Map(above)) => {
            for (key, node) in above {
                match below.iter_mut().find(|(have, _)| have.text == key.text) {
                    Some((_, have)) => lay_over(have, node),
                    None => below.push((key, node)),
                }
            }
        }
        (NodeKind::List(below), NodeKind::List(above)) => below.extend(above),
        // A key with nothing after it takes nothing away.
        (_, NodeKind::Null) => {}
        (kind, above_kind) => {
            *kind = above_kind;
            (below.line, below.column) = (above.line, above.column);
        }
    }
}
