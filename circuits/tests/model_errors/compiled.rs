//! Compiled models of a few bytes that ask for much: refused, or planned within bounds.

use std::time::{Duration, Instant};

use tensorseal_circuits::{
    compiled::CompiledModel,
    layout::{Shown, Visibility},
    model::{Conv, Kind, Linear, MaxPool, Model, Node, Op, Port, Shape, SumPool, Table, Term},
    profile::ALL,
};

fn shape(n: usize, c: usize, h: usize, w: usize) -> Shape {
    Shape { n, c, h, w }
}

fn input(shape: Shape) -> Node {
    Node {
        name: "x".into(),
        shape,
        kind: Kind::Input { lo: -128, hi: 127 },
    }
}

fn linear(name: &str, shape: Shape, terms: Vec<Term>, table: Table) -> Node {
    Node {
        name: name.into(),
        shape,
        kind: Kind::Linear(Linear {
            terms,
            // A model with more channels is refused whatever its bias.
            bias: vec![0; shape.c.min(1 << 20)],
            requantize: false,
            pool: None,
            table,
        }),
    }
}

fn term(source: usize, op: Op) -> Term {
    Term {
        source,
        channel: 0,
        op,
    }
}

fn sum_pool(
    kernel: (usize, usize),
    stride: (usize, usize),
    pads: (usize, usize, usize, usize),
) -> Op {
    Op::SumPool(SumPool {
        channels: 1,
        kernel,
        stride,
        pads,
        multiplier: 1,
    })
}

fn conv(kernel: (usize, usize), stride: (usize, usize), pads: (usize, usize, usize, usize)) -> Op {
    Op::Conv(Conv {
        cin: 1,
        cout: 1,
        kernel,
        stride,
        dilation: (1, 1),
        pads,
        groups: 1,
        weights: vec![1; kernel.0 * kernel.1],
    })
}

/// A model of an input, then these nodes; the last is the output.
fn model(nodes: Vec<Node>) -> Model {
    let port = |node: usize| {
        let s = nodes[node].shape;
        Port {
            name: nodes[node].name.clone(),
            node,
            shape: vec![s.n, s.c, s.h, s.w],
            order: Vec::new(),
            scale: 1.0,
            encodings: Vec::new(),
        }
    };
    Model {
        name: "hostile".into(),
        bits: 8,
        shift: 16,
        inputs: vec![port(0)],
        outputs: vec![port(nodes.len() - 1)],
        nodes,
    }
}

/// Time that this thread has computed, where the system tells (Linux): tests share processors, and the clock runs on.
fn computed() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = stat.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// What comes of a file of this model, in every profile, each within ten seconds.
fn outcomes(model: &Model) -> Vec<Result<(), String>> {
    outcomes_within(model, Duration::from_secs(10))
}

fn outcomes_within(model: &Model, limit: Duration) -> Vec<Result<(), String>> {
    let visibility = Visibility {
        input: Shown::Private,
        output: Shown::Public,
    };
    let profiles = ALL.iter().filter(|p| !p.hash);
    profiles
        .map(|&profile| {
            let (start, before) = (Instant::now(), computed());
            let bytes = CompiledModel {
                model: model.clone(),
                profile,
                visibility,
            }
            .to_bytes()
            .unwrap();
            let outcome = CompiledModel::from_bytes(&bytes)
                .map_err(|e| e.to_string())
                .and_then(|m| m.layout().map(drop).map_err(|e| e.to_string()));
            let took = match (before, computed()) {
                (Some(before), Some(after)) => after - before,
                _ => start.elapsed(),
            };
            assert!(took < limit, "{}: {took:?}, {outcome:?}", profile.name());
            outcome
        })
        .collect()
}

fn refused(model: &Model) -> Vec<String> {
    let each = outcomes(model).into_iter();
    each.map(|o| o.expect_err("it asks for too much")).collect()
}

#[test]
fn shapes_beyond_the_rows_are_refused_before_any_is_planned() {
    for s in [
        shape(1, 1, 2048, 2048),
        shape(1, 1, 4096, 4096),
        shape(1 << 27, 1, 1, 1),
        shape(1 << 28, 1, 1, 1),
        shape(1, 1 << 27, 1, 1),
        shape(1 << 40, 1 << 40, 1, 1),
        shape(1, 1, 1 << 22, 1),
    ] {
        let plain = model(vec![
            input(s),
            linear(
                "y",
                s,
                vec![term(0, sum_pool((1, 1), (1, 1), (0, 0, 0, 0)))],
                Table::Raw,
            ),
        ]);
        refused(&plain);
        let small = shape(1, 1, 1, 1);
        let map = Op::Map {
            out: (s.c, s.h, s.w),
            entries: Vec::new(),
        };
        let mapped = model(vec![
            input(small),
            linear("y", s, vec![term(0, map)], Table::Raw),
        ]);
        if s.n == 1 && s.c == 1 {
            refused(&mapped);
        }
    }
    let side = 2048;
    let messages = refused(&model(vec![
        input(shape(1, 1, side, side)),
        linear(
            "y",
            shape(1, 1, side, side),
            vec![term(0, conv((1, 1), (1, 1), (0, 0, 0, 0)))],
            Table::Raw,
        ),
    ]));
    // The number is that of the rows, and the limit that of the profile.
    for message in &messages {
        let rows = 2 * side * side;
        if message.contains("shifts by") {
            continue;
        }
        assert!(
            message.contains(&format!(
                "{rows} rows of activations, more than the 2097152"
            )),
            "{message}"
        );
    }
}

#[test]
fn pads_and_windows_beyond_reach_are_refused() {
    let huge = 1 << 40;
    let one = shape(1, 1, 4, 4);
    for op in [
        conv((1, 1), (1, 1), (huge, 0, 0, 0)),
        conv((1, 1), (1, 1), (0, 0, 0, usize::MAX)),
        sum_pool((1 << 16, 1 << 16), (1, 1), (1 << 16, 1 << 16, 0, 0)),
    ] {
        let out = [
            shape(1, 1, huge + 4, 4),
            shape(1, 1, 5, 5),
            shape(1, 1, 1, 1),
            one,
        ];
        for out in out {
            refused(&model(vec![
                input(one),
                linear("y", out, vec![term(0, op.clone())], Table::Raw),
            ]));
        }
    }
    // A window of many positions over many positions costs a file nothing.
    let (side, kernel) = (512, 255);
    let s = shape(1, 1, side, side);
    refused(&model(vec![
        input(s),
        linear(
            "y",
            s,
            vec![term(
                0,
                sum_pool((kernel, kernel), (1, 1), (127, 127, 127, 127)),
            )],
            Table::Raw,
        ),
    ]));
}

#[test]
fn channels_that_nothing_weighs_are_refused() {
    let op = sum_pool((1, 1), (1, 1), (0, 0, 0, 0));
    let y = linear("y", shape(1, 1, 1, 1), vec![term(0, op)], Table::Raw);
    let messages = refused(&model(vec![input(shape(1, (1 << 19) + 1, 1, 1)), y]));
    let told = messages
        .iter()
        .filter(|m| m.contains("rows of functionals"));
    assert!(told.count() > 0, "{messages:?}");
}

#[test]
fn rows_that_only_bridge_are_bounded() {
    // Every tensor is far from the next, by rows that hold nothing.
    let far = 1 << 20;
    let mut nodes = vec![input(shape(1, 1, 1, 1))];
    for i in 0..64 {
        nodes.push(linear(
            &format!("n{i}"),
            shape(1, 1, 2, 1),
            vec![term(0, sum_pool((1, 1), (far, 1), (far, 0, 0, 0)))],
            Table::Identity,
        ));
    }
    let terms = (1..nodes.len()).map(|i| term(i, conv((1, 1), (1, 1), (0, 0, 0, 0))));
    let y = linear("y", shape(1, 1, 2, 1), terms.collect(), Table::Raw);
    nodes.push(y);
    outcomes(&model(nodes));
    let wide = model(vec![
        input(shape(1, 1, 1, 1 << 10)),
        linear(
            "a",
            shape(1, 1, 1, 2),
            vec![term(0, sum_pool((1, 1), (1, 1 << 20), (0, 1 << 20, 0, 0)))],
            Table::Identity,
        ),
        linear(
            "y",
            shape(1, 1, 1, 2),
            vec![term(1, conv((1, 1), (1, 1), (0, 0, 0, 0)))],
            Table::Raw,
        ),
    ]);
    outcomes(&wide);
}

#[test]
fn ranges_do_not_overflow() {
    let s = shape(1, 1, 1, 1);
    for (lo, hi) in [
        (i64::MIN, i64::MAX),
        (i64::MIN, 0),
        (0, i64::MAX),
        (-(1 << 24), 1 << 24),
    ] {
        let mut nodes = vec![
            input(s),
            linear(
                "y",
                s,
                vec![term(0, conv((1, 1), (1, 1), (0, 0, 0, 0)))],
                Table::Raw,
            ),
        ];
        nodes[0].kind = Kind::Input { lo, hi };
        for message in refused(&model(nodes)) {
            assert!(message.contains("range"), "{message}");
        }
    }
}

#[test]
fn many_tables_are_refused() {
    let s = shape(1, 1, 1, 1);
    let mut nodes = vec![input(s)];
    nodes[0].kind = Kind::Input {
        lo: 0,
        hi: (1 << 24) - 1,
    };
    for i in 0..20 {
        let table = Table::Clip { lo: 0, hi: 100 + i };
        nodes.push(linear(
            &format!("n{i}"),
            s,
            vec![term(0, conv((1, 1), (1, 1), (0, 0, 0, 0)))],
            table,
        ));
    }
    let terms = (1..nodes.len()).map(|i| term(i, conv((1, 1), (1, 1), (0, 0, 0, 0))));
    let y = linear("y", s, terms.collect(), Table::Raw);
    nodes.push(y);
    refused(&model(nodes));
}

#[test]
fn pooling_windows_do_not_overflow() {
    let s = shape(1, 1, 1, 1);
    for kernel in [(1 << 40, 1 << 40), (usize::MAX, 2), (0, 1), (1 << 17, 1)] {
        let mut nodes = vec![
            input(s),
            linear(
                "p",
                s,
                vec![term(0, conv((1, 1), (1, 1), (0, 0, 0, 0)))],
                Table::Identity,
            ),
            linear(
                "y",
                s,
                vec![term(1, conv((1, 1), (1, 1), (0, 0, 0, 0)))],
                Table::Raw,
            ),
        ];
        let Kind::Linear(linear) = &mut nodes[1].kind else {
            unreachable!("it is linear")
        };
        linear.pool = Some(MaxPool {
            kernel,
            from_zero: false,
            full: kernel,
        });
        refused(&model(nodes));
    }
}

/// The most memory held since the last call, in MiB, where the system tells (Linux).
fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kb: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    Some(kb / 1024)
}

#[test]
#[ignore = "slow: a minute"]
fn slow_the_largest_models_are_planned_within_bounds() {
    let raw = |s: Shape, op: Op| linear("y", s, vec![term(0, op)], Table::Raw);
    let one = || sum_pool((1, 1), (1, 1), (0, 0, 0, 0));
    let map = Op::Map {
        out: (1, 1, 1),
        entries: vec![(0, 0, 1)],
    };
    let dot = shape(1, 1, 1, 1);
    let wide = |c: usize| model(vec![input(shape(1, c, 1, 1)), raw(dot, one())]);
    let models = [
        ("image", {
            let s = shape(1, 1, 1024, 1023);
            model(vec![input(s), raw(s, one())])
        }),
        ("batch", {
            let s = shape(1 << 20, 1, 1, 1);
            model(vec![input(s), raw(s, one())])
        }),
        ("channels", wide((1 << 19) - 8)),
        ("channels beyond", wide(1 << 20)),
        (
            "positions",
            model(vec![input(shape(1, 1, 720, 720)), raw(dot, map)]),
        ),
        ("windows", {
            let s = shape(1, 1, 45, 45);
            let op = sum_pool((255, 255), (1, 1), (127, 127, 127, 127));
            model(vec![input(s), raw(s, op)])
        }),
    ];
    for (name, model) in &models {
        let start = Instant::now();
        peak_mib();
        // Half of this on a machine that does nothing else.
        let planned = outcomes_within(model, Duration::from_secs(20));
        let planned = planned.iter().filter(|o| o.is_ok()).count();
        let (took, mib) = (start.elapsed(), peak_mib());
        println!("{name}: {planned} profiles, {took:?}, {mib:?} MiB");
        assert!(mib.is_none_or(|mib| mib < 1024), "{name}: {mib:?} MiB");
    }
}
