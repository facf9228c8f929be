//! What a person sees while a run lasts, on stderr: one living line on a terminal, one line every few seconds in a
//! log.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use indicatif::{ProgressBar, ProgressStyle};

use crate::clock::Offset;
use crate::plan::Plan;
use crate::watch::{Depth, Event, Phase, Second, Watch};

/// Between two lines where stderr is no terminal.
const LOG_EVERY: u64 = 5;

pub struct Progress {
    line: ProgressBar,
    on_terminal: bool,
    quiet: bool,
    state: Mutex<State>,
}

struct State {
    duration: Duration,
    phase: Option<Phase>,
    second: Second,
    errors: u64,
    seconds: u64,
    depth: Depth,
    next: Option<(Offset, String)>,
}

impl Progress {
    pub fn new(plan: &Plan, quiet: bool) -> Self {
        let on_terminal = std::io::stderr().is_terminal();
        let line = if on_terminal && !quiet { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        line.set_style(ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}").expect("a fixed template"));
        line.enable_steady_tick(Duration::from_millis(200));
        let state = State {
            duration: plan.load.duration,
            phase: None,
            second: Second::default(),
            errors: 0,
            seconds: 0,
            depth: Depth::default(),
            next: None,
        };
        Progress { line, on_terminal, quiet, state: Mutex::new(state) }
    }

    /// Leaves the terminal as it was.
    pub fn finish(&self) {
        self.line.finish_and_clear();
    }

    fn say(&self, text: &str) {
        match (self.quiet, self.on_terminal) {
            (true, _) => {}
            (false, true) => self.line.println(text),
            (false, false) => eprintln!("{text}"),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().expect("no code panics while it holds the display"))
    }
}

#[async_trait]
impl Watch for Progress {
    async fn phase(&self, phase: Phase) {
        self.with(|state| state.phase = Some(phase));
        self.line.set_message(phase.name());
        if !self.on_terminal {
            self.say(&format!("{:>9} …", phase.name()));
        }
    }

    fn event(&self, event: Event) {
        match event {
            Event::Second(second) => {
                let (text, due) = self.with(|state| {
                    state.second = second;
                    state.errors += second.errors;
                    state.seconds += 1;
                    (state.in_words(), state.seconds.is_multiple_of(LOG_EVERY))
                });
                self.line.set_message(text.clone());
                if due && !self.on_terminal {
                    self.say(&text);
                }
            }
            Event::Depth(depth) => {
                let text = self.with(|state| {
                    state.depth = depth;
                    state.in_words()
                });
                self.line.set_message(text);
            }
            Event::Note(text) => self.say(&format!("          · {text}")),
            Event::NextStep(next) => self.with(|state| state.next = next),
        }
    }
}

impl State {
    fn in_words(&self) -> String {
        let Depth { ready, leased, delayed, dead } = self.depth;
        let buffer = format!("buffer {ready} ready, {leased} leased, {delayed} delayed, {dead} dead");
        match self.phase {
            Some(Phase::Load) => {
                let Second { at, due, sent, response_ms_p99, .. } = self.second;
                let of = self.duration.as_secs();
                let next = self
                    .next
                    .as_ref()
                    .map_or_else(String::new, |(at, step)| format!(" · next: {step} at {:.0}s", at.as_secs_f64()));
                let (at, errors) = (at.as_secs_f64(), self.errors);
                format!(
                    "     load {at:>3.0}/{of}s · asked {due}/s, sent {sent}/s · p99 {response_ms_p99:.1} ms · \
                     errors {errors} · {buffer}{next}"
                )
            }
            Some(phase) => format!("{:>9} · {buffer}", phase.name()),
            None => String::new(),
        }
    }
}
