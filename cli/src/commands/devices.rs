//! `devices`: where proofs can be computed.

use serde_json::json;

use crate::{
    Outcome, pipeline,
    ui::{self, Table},
};

/// Lists this processor, and all devices that were looked for, with the reason where one cannot be used.
pub fn run() -> Outcome {
    let mut table = Table::with_header(&["backend", "device", "free", "of", "state"]);
    let cores = pipeline::cores();
    table.row(["cpu", &format!("{cores} threads"), "-", "-", "ready"]);
    let mut reports = vec![json!({ "backend": "cpu", "usable": true, "threads": cores })];
    for found in pipeline::devices() {
        let (index, name) = match &found.device {
            Some((index, name)) => (Some(index), Some(name)),
            None => (None, None),
        };
        let label = match (&found.device, &found.arch) {
            (Some((index, name)), Some(arch)) => format!("{index}: {name}, {arch}"),
            (Some((index, name)), None) => format!("{index}: {name}"),
            (None, _) => "-".into(),
        };
        let [free, total] = [found.memory.map(|m| m.0), found.memory.map(|m| m.1)];
        let bytes = |bytes: Option<u64>| bytes.map_or("-".into(), ui::bytes);
        let state = match &found.problem {
            Some(why) => format!("not usable: {why}"),
            None if found.kernels_ready => "ready".into(),
            None => "ready; its kernels will be compiled at first use".into(),
        };
        table.row([found.backend, &label, &bytes(free), &bytes(total), &state]);
        reports.push(json!({
            "backend": found.backend, "usable": found.problem.is_none(), "index": index, "name": name,
            "arch": found.arch, "free_bytes": free, "total_bytes": total, "kernels_ready": found.kernels_ready,
            "why_not": found.problem.map(|why| why.to_string()),
        }));
    }
    Outcome::new(table.render(), json!({ "devices": reports }))
}
