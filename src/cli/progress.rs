//! What a person sees while a run lasts, on stderr: two living lines on a terminal, one line every few seconds in a
//! log.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use indicatif::{ProgressBar, ProgressStyle};

use crate::clock::Offset;
use crate::mask::mask;
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
    quiet: Duration,
    /// A URL's target may have one, and nobody looks into it.
    has_buffer: bool,
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
        line.set_style(
            ProgressStyle::with_template("{spinner} {elapsed:>4}  {wide_msg}\n        {prefix}")
                .expect("a fixed template"),
        );
        line.enable_steady_tick(Duration::from_millis(200));
        let state = State {
            duration: plan.load.duration(),
            quiet: plan.settle.quiet,
            has_buffer: plan.url.is_none(),
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
        let text = &mask(text);
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
        let doing = self.with(|state| {
            state.phase = Some(phase);
            state.doing()
        });
        self.line.set_message(doing);
        if !self.on_terminal {
            self.say(&format!("{:>9} …", phase.name()));
        }
    }

    fn event(&self, event: Event) {
        let is_second = matches!(event, Event::Second(_));
        match event {
            Event::Note(text) => return self.say(&format!("          · {text}")),
            Event::Second(second) => self.with(|state| state.see(second)),
            Event::Depth(depth) => self.with(|state| state.depth = depth),
            Event::NextStep(next) => self.with(|state| state.next = next),
        }
        let (doing, buffer, seconds) = self.with(|state| (state.doing(), state.buffer(), state.seconds));
        if is_second && !self.on_terminal && seconds.is_multiple_of(LOG_EVERY) {
            let parts = [doing.as_str(), buffer.as_str()].into_iter().filter(|part| !part.is_empty());
            self.say(&format!("          {}", parts.collect::<Vec<_>>().join(" · ")));
        }
        self.line.set_message(doing);
        self.line.set_prefix(buffer);
    }
}

impl State {
    fn see(&mut self, second: Second) {
        self.second = second;
        self.errors += second.errors;
        self.seconds += 1;
    }

    /// What the run is doing, and how it goes.
    fn doing(&self) -> String {
        match self.phase {
            Some(Phase::Load) => {
                let Second { at, due, sent, response_ms_p99, .. } = self.second;
                let (at, of, errors) = (at.as_secs_f64(), self.duration.as_secs(), self.errors);
                format!(
                    "load {at:.0}/{of}s · asked {due}/s, sent {sent}/s · p99 {response_ms_p99:.1} ms · errors {errors}"
                )
            }
            Some(Phase::Settle) => format!("settle: until nothing has moved for {:.1?}", self.quiet),
            Some(phase) => phase.name().to_owned(),
            None => String::new(),
        }
    }

    /// What the buffer holds, and what comes next.
    fn buffer(&self) -> String {
        if !self.has_buffer {
            return String::new();
        }
        let Depth { ready, leased, delayed, dead } = self.depth;
        let next = self.next.as_ref().map(|(at, step)| format!(" · next: {step} at {:.0}s", at.as_secs_f64()));
        format!("buffer {ready} ready, {leased} leased, {delayed} delayed, {dead} dead{}", next.unwrap_or_default())
    }
}
