//! What is going on, on stderr: a bar or a spinner where a terminal watches, else a line now and then.

use std::{
    io::{IsTerminal, Write, stderr},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle, ThreadId},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use tracing::{Subscriber, info, span};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use crate::{text, ui};

/// The first line comes after this long where no terminal watches: what takes less is not worth one.
const FIRST_LINE: Duration = Duration::from_secs(1);
/// And the next ones.
const NEXT_LINE: Duration = Duration::from_secs(5);

/// Shows what is being done, and tells it to the log.
#[derive(Debug, Default)]
pub struct Ui {
    shown: Shown,
}

/// What is shown now, if anything.
type Shown = Arc<Mutex<Option<ProgressBar>>>;

impl Ui {
    /// A display on this process's stderr.
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows the stages that the libraries go through on this thread, from their spans.
    pub fn stages(&self) -> Stages {
        Stages {
            shown: self.shown.clone(),
            thread: thread::current().id(),
        }
    }

    /// Runs `work` under a spinner and returns its value and how long it took.
    pub fn timed<T>(&self, label: impl Into<String>, work: impl FnOnce() -> T) -> (T, Duration) {
        let label = text::line(&label.into());
        let spinner = ProgressBar::new_spinner();
        spinner.set_style(style("{spinner} {msg} {prefix} {elapsed}"));
        spinner.set_message(label.clone());
        spinner.enable_steady_tick(Duration::from_millis(100));
        let shown = Activity::start(&self.shown, spinner);
        let start = Instant::now();
        let value = work();
        let took = start.elapsed();
        drop(shown);
        info!("{label}: {}", ui::duration(took));
        (value, took)
    }

    /// [`Ui::timed`] for work that can fail.
    pub fn try_timed<T, E>(
        &self,
        label: impl Into<String>,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<(T, Duration), E> {
        let (value, took) = self.timed(label, work);
        value.map(|value| (value, took))
    }

    /// Runs `work` under a bar, which `work` moves by naming its stage, the steps done and how many there are.
    pub fn staged<T>(
        &self,
        work: impl FnOnce(&mut dyn FnMut(&'static str, usize, usize)) -> T,
    ) -> (T, Duration) {
        let shown = self.bar("", 0);
        let start = Instant::now();
        let value = work(&mut |stage, done, total| {
            if done == 0 {
                shown.bar.set_message(stage);
                shown.bar.reset_eta();
            }
            shown.bar.set_length(total as u64);
            shown.bar.set_position(done as u64);
        });
        (value, start.elapsed())
    }

    /// A bar over `length` steps of something that may take long; it goes with the value.
    pub fn bar(&self, label: impl Into<String>, length: usize) -> Activity {
        let bar = ProgressBar::new(length as u64);
        bar.set_style(style("{msg} {wide_bar} {pos}/{len} {eta}"));
        bar.set_message(text::line(&label.into()));
        Activity::start(&self.shown, bar)
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a constant template")
}

/// Something that is shown until it is dropped.
#[derive(Debug)]
pub struct Activity {
    bar: ProgressBar,
    shown: Shown,
    /// What was shown before.
    outer: Option<ProgressBar>,
    /// Told by its end; none where indicatif draws.
    lines: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Activity {
    fn start(shown: &Shown, bar: ProgressBar) -> Self {
        let outer = lock(shown).replace(bar.clone());
        // indicatif draws nothing where stderr is no terminal.
        let lines = (!stderr().is_terminal()).then(|| {
            let (stop, stopped) = mpsc::channel();
            let bar = bar.clone();
            let lines = thread::spawn(move || {
                let mut wait = FIRST_LINE;
                while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                    let _ = writeln!(stderr(), "{}", text::line(&line(&bar)));
                    wait = NEXT_LINE;
                }
            });
            (stop, lines)
        });
        Self {
            bar,
            shown: shown.clone(),
            outer,
            lines,
        }
    }

    /// One more step is done.
    pub fn step(&self) {
        self.bar.inc(1);
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        if let Some((stop, lines)) = self.lines.take() {
            drop(stop);
            let _ = lines.join();
        }
        self.bar.finish_and_clear();
        *lock(&self.shown) = self.outer.take();
    }
}

/// A panic elsewhere does not make what is shown unusable.
fn lock(shown: &Shown) -> std::sync::MutexGuard<'_, Option<ProgressBar>> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `proving, commit: 12 s`, or `running, 3 of 450: 12 s`.
fn line(bar: &ProgressBar) -> String {
    let stage = match (bar.length(), bar.prefix()) {
        (Some(length), _) if length > 0 => format!(", {} of {length}", bar.position()),
        (_, prefix) if !prefix.is_empty() => format!(", {prefix}"),
        _ => String::new(),
    };
    format!("{}{stage}: {} s", bar.message(), bar.elapsed().as_secs())
}

/// Follows the outermost spans of one thread.
#[derive(Debug)]
pub struct Stages {
    shown: Shown,
    thread: ThreadId,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Stages {
    fn on_enter(&self, id: &span::Id, context: Context<'_, S>) {
        if thread::current().id() != self.thread {
            return;
        }
        let Some(span) = context.span(id).filter(|span| span.parent().is_none()) else {
            return;
        };
        if let Some(bar) = &*lock(&self.shown) {
            bar.set_prefix(span.name());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_stage_or_the_steps() {
        let bar = ProgressBar::hidden();
        bar.set_message("proving");
        assert_eq!(line(&bar), "proving: 0 s");
        bar.set_prefix("commit");
        assert_eq!(line(&bar), "proving, commit: 0 s");
        bar.set_length(450);
        bar.set_position(3);
        assert_eq!(line(&bar), "proving, 3 of 450: 0 s");
    }

    #[test]
    fn what_was_shown_before_is_shown_again() {
        let ui = Ui::new();
        let outer = ui.bar("outer", 2);
        drop(ui.bar("inner", 1));
        let message = lock(&ui.shown).as_ref().map(ProgressBar::message);
        assert_eq!(message.as_deref(), Some("outer"));
        drop(outer);
        assert!(lock(&ui.shown).is_none());
    }
}
