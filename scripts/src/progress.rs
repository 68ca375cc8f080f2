//! Progress of long steps: a spinner on a terminal, plain timed lines elsewhere.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Without a terminal, a step that lasts says so this often.
const QUIET: Duration = Duration::from_secs(20);

/// One long step. Dropping it without [`Step::done`] leaves it unfinished on the screen.
pub struct Step {
    what: String,
    start: Instant,
    spoke: Mutex<Instant>,
    bar: Option<ProgressBar>,
}

impl Step {
    /// Announces a step, such as "Unpacking Linux 7.3.4".
    pub fn start(what: impl Into<String>) -> Step {
        let what = what.into();
        let start = Instant::now();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg}");
            bar.set_style(style.expect("a fixed template"));
            bar.set_prefix(what.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            eprintln!("{what} ...");
        }
        Step {
            what,
            start,
            spoke: Mutex::new(start),
            bar,
        }
    }

    /// Says how far the step is. Cheap enough to be called for every line of a log.
    pub fn update(&self, message: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(message.to_owned()),
            None => {
                let mut spoke = self.spoke.lock().unwrap_or_else(PoisonError::into_inner);
                if spoke.elapsed() >= QUIET {
                    eprintln!(
                        "{} [{}] {message}",
                        self.what,
                        seconds(self.start.elapsed())
                    );
                    *spoke = Instant::now();
                }
            }
        }
    }

    /// Prints a line above the progress display.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Ends the step well.
    pub fn done(self) {
        self.done_with("done");
    }

    /// Ends the step well, with a result to show.
    pub fn done_with(self, result: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!(
            "{}: {result} [{}]",
            self.what,
            seconds(self.start.elapsed())
        );
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// "0.4 s", "12 s", "5 min 16 s".
pub fn seconds(time: Duration) -> String {
    let whole = time.as_secs();
    match whole {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{whole} s"),
        _ => format!("{} min {} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_readable() {
        assert_eq!(seconds(Duration::from_millis(440)), "0.4 s");
        assert_eq!(seconds(Duration::from_secs(12)), "12 s");
        assert_eq!(seconds(Duration::from_secs(316)), "5 min 16 s");
    }
}
