//! Time and peak memory by stage: the spans that the prover opens, recorded while it works.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tracing::{Subscriber, span};
use tracing_subscriber::{
    Layer, Registry, layer::Context, layer::SubscriberExt, registry::LookupSpan,
};

use crate::{
    pipeline,
    svg::{Anchor, Svg, color},
    ui::{self, Table},
};

/// A stage of the work; spans of the same name are one stage.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Time, all spans together.
    pub seconds: f64,
    /// The largest amount of memory that the process held meanwhile, where the system tells. Where it does not
    /// allow peaks to be counted anew: what was held at the end.
    pub peak_mib: Option<f64>,
}

/// The stages of some work.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Profile {
    /// In the order of their beginning; the last is what no span covers.
    pub stages: Vec<Stage>,
    /// Time from beginning to end.
    pub seconds: f64,
    /// What of it the prover's backend took, where that was counted.
    pub backend_seconds: Option<f64>,
}

/// The profile of the median time.
pub fn median(mut profiles: Vec<Profile>) -> Option<Profile> {
    profiles.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let middle = profiles.len() / 2;
    (!profiles.is_empty()).then(|| profiles.swap_remove(middle))
}

/// Runs `work` and records the outermost spans that it opens on this thread.
pub fn record<T>(work: impl FnOnce() -> T) -> (T, Profile) {
    let recorder = Recorder::default();
    let subscriber = Registry::default().with(recorder.clone());
    let start = Instant::now();
    let value = tracing::subscriber::with_default(subscriber, work);
    let seconds = ui::seconds(start.elapsed());
    let stages = recorder.0.lock().expect("no panic inside").stages.clone();
    (value, Profile::new(&stages, seconds))
}

/// Name, time, peak.
type Recorded = (&'static str, Duration, Option<f64>);

#[derive(Debug, Default)]
struct State {
    stages: Vec<Recorded>,
    depth: usize,
    began: Option<(Instant, bool)>,
}

#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<State>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_enter(&self, _: &span::Id, _: Context<'_, S>) {
        let mut state = self.0.lock().expect("no panic inside");
        state.depth += 1;
        if state.depth == 1 {
            let counted = pipeline::reset_peak_memory();
            state.began = Some((Instant::now(), counted));
        }
    }

    fn on_exit(&self, id: &span::Id, context: Context<'_, S>) {
        let mut state = self.0.lock().expect("no panic inside");
        state.depth = state.depth.saturating_sub(1);
        if state.depth > 0 {
            return;
        }
        let (Some((began, counted)), Some(span)) = (state.began.take(), context.span(id)) else {
            return;
        };
        let took = began.elapsed();
        let peak = if counted {
            pipeline::recent_peak_memory_mib()
        } else {
            pipeline::memory_mib()
        };
        state.stages.push((span.name(), took, peak));
    }
}

impl Profile {
    fn new(recorded: &[Recorded], seconds: f64) -> Self {
        let mut merged: Vec<Recorded> = Vec::new();
        for &(name, took, peak) in recorded {
            match merged.iter_mut().find(|stage| stage.0 == name) {
                Some(stage) => {
                    stage.1 += took;
                    stage.2 = [stage.2, peak].into_iter().flatten().reduce(f64::max);
                }
                None => merged.push((name, took, peak)),
            }
        }
        let mut stages: Vec<Stage> = merged
            .into_iter()
            .map(|(name, took, peak_mib)| Stage {
                name: name.to_string(),
                seconds: ui::seconds(took),
                peak_mib,
            })
            .collect();
        let covered: f64 = stages.iter().map(|stage| stage.seconds).sum();
        stages.push(Stage {
            name: "other".into(),
            seconds: ((seconds - covered).max(0.0) * 1e4).round() / 1e4,
            peak_mib: None,
        });
        Self {
            stages,
            seconds,
            backend_seconds: None,
        }
    }

    fn share(&self, stage: &Stage) -> f64 {
        if self.seconds > 0.0 {
            stage.seconds / self.seconds
        } else {
            0.0
        }
    }

    /// The largest peak of a stage.
    fn peak_mib(&self) -> Option<f64> {
        let peaks = self.stages.iter().filter_map(|stage| stage.peak_mib);
        peaks.reduce(f64::max)
    }

    /// The stages as a table.
    pub fn table(&self) -> String {
        let mut table = Table::with_header(&["stage", "seconds", "share", "peak MiB"]);
        let mib = |peak: Option<f64>| peak.map_or("-".into(), |peak| format!("{peak:.1}"));
        for stage in &self.stages {
            table.row([
                stage.name.clone(),
                format!("{:.4}", stage.seconds),
                format!("{:.1} %", 100.0 * self.share(stage)),
                mib(stage.peak_mib),
            ]);
        }
        table.row([
            "total".into(),
            format!("{:.4}", self.seconds),
            "100.0 %".into(),
            mib(self.peak_mib()),
        ]);
        table.render()
    }

    /// The stages as a picture that needs no other file: one bar of all stages, then a line for each.
    pub fn svg(&self, title: &str) -> String {
        const WIDTH: f64 = 720.0;
        const LEFT: f64 = 20.0;
        const LINE: f64 = 24.0;
        let peak = self
            .peak_mib()
            .map_or(String::new(), |peak| format!(", peak {peak:.1} MiB"));
        let mut svg = Svg::new(760.0, 120.0 + LINE * self.stages.len() as f64);
        let title = format!("{title}: {:.3} s{peak}", self.seconds);
        svg.sized_text(LEFT, 28.0, 16.0, &title);
        let mut x = LEFT;
        for (index, stage) in self.stages.iter().enumerate() {
            let (share, color) = (self.share(stage), color(index));
            let width = share * WIDTH;
            let tip = format!("{}: {:.4} s", stage.name, stage.seconds);
            svg.bar((x, 44.0), (width, 36.0), color, &tip, &stage.name);
            x += width;
            let y = 104.0 + LINE * index as f64;
            let held = stage
                .peak_mib
                .map_or(String::new(), |peak| format!("{peak:.1} MiB"));
            svg.bar((LEFT, y), (14.0, 14.0), color, &stage.name, "");
            for (x, anchor, text) in [
                (42.0, Anchor::Start, &stage.name),
                (260.0, Anchor::End, &format!("{:.4} s", stage.seconds)),
                (340.0, Anchor::End, &format!("{:.1} %", 100.0 * share)),
                (450.0, Anchor::End, &held),
            ] {
                svg.text(x, y + 12.0, anchor, text);
            }
        }
        svg.finish()
    }
}

#[cfg(test)]
mod tests {
    use tracing::debug_span;

    use super::*;

    #[test]
    fn outermost_spans_are_stages() {
        let nap = || std::thread::sleep(Duration::from_millis(3));
        let (value, profile) = record(|| {
            debug_span!("one").in_scope(|| debug_span!("inside").in_scope(nap));
            debug_span!("two").in_scope(nap);
            debug_span!("one").in_scope(nap);
            7
        });
        assert_eq!(value, 7);
        let names: Vec<&str> = profile.stages.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["one", "two", "other"]);
        assert!(profile.stages[0].seconds >= 0.006);
        assert!(profile.seconds >= 0.009);
        assert!(profile.table().contains("total"));
    }

    #[test]
    fn the_median_is_a_profile() {
        let profile = |seconds| Profile::new(&[], seconds);
        assert!(median(vec![]).is_none());
        let middle = median([3.0, 1.0, 2.0].map(profile).to_vec()).unwrap();
        assert_eq!(middle.seconds, 2.0);
    }

    #[test]
    fn the_picture_names_all_stages() {
        let recorded = [("a<b", Duration::from_secs(1), Some(3.5))];
        let svg = Profile::new(&recorded, 2.0).svg("R&D");
        for part in [
            "a&lt;b", "R&amp;D", "1.0000 s", "50.0 %", "3.5 MiB", "other",
        ] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}
