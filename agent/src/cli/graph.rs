//! `--dump-inc-proc-graph`: what is derived from what, in the form that ovn-controller has for its engine (sheet 01 section 1.1). Dependencies are recorded
//! at run time and never listed here, so the edges are those of the layers: tables are read by facts, facts by units, units make flows and rows.

use anyhow::bail;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::control::table_nodes;

/// What follows the tables; each is derived from those on the left.
const LAYERS: [(&[&str], &str); 5] = [
    (&["view", "OVS_features", "kernel_neighbours"], "flows"),
    (&["view"], "writeback"),
    (&["flows"], "switch"),
    (&["writeback"], "OVN_Southbound"),
    (&["writeback"], "Open_vSwitch"),
];

/// The graph, or the part of it that leads to a node.
pub fn dump(node: Option<&str>) -> anyhow::Result<String> {
    let mut edges: Vec<(String, String)> = table_nodes().map(|(node, _)| (node, "view".to_owned())).collect();
    for (from, to) in LAYERS {
        edges.extend(from.iter().map(|from| ((*from).to_owned(), to.to_owned())));
    }
    let mut wanted: BTreeSet<&str> = edges.iter().flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect();
    if let Some(node) = node {
        if !wanted.contains(node) {
            bail!("no node \"{node}\"");
        }
        wanted = BTreeSet::from([node]);
        while let Some((from, _)) =
            edges.iter().find(|(from, to)| wanted.contains(to.as_str()) && !wanted.contains(from.as_str()))
        {
            wanted.insert(from);
        }
    }
    let mut text = String::from("digraph \"Incremental-Processing-Engine\" {\n\trankdir=LR;\n");
    for name in &wanted {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "\t{name} [style=filled, shape=box, fillcolor=white, label=\"{name}\"];");
    }
    for (from, to) in edges.iter().filter(|(from, to)| wanted.contains(from.as_str()) && wanted.contains(to.as_str())) {
        let _ = writeln!(text, "\t{from} -> {to} [label=\"\"];");
    }
    text.push_str("}\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_what_leads_to_a_node() {
        let all = dump(None).unwrap();
        assert!(all.starts_with("digraph \"Incremental-Processing-Engine\" {\n\trankdir=LR;\n\t"), "{all}");
        assert!(all.contains("\tSB_port_binding -> view [label=\"\"];\n") && all.ends_with("}\n"), "{all}");
        let part = dump(Some("flows")).unwrap();
        assert!(part.contains("\tview -> flows ") && !part.contains("writeback"), "{part}");
        assert_eq!(dump(Some("nonsense")).unwrap_err().to_string(), "no node \"nonsense\"");
    }
}
