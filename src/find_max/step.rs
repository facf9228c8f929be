//! One step: a whole run at one rate, and what it says of that rate.
//!
//! In: the run's report and histograms. Out: a [`Step`], a line of the curve. Pure.
//!
//! # Whose fault it is
//! A rate that was missed is the target's only where nothing else can be: where mxctl woke late, a thread of its own had
//! no time left, or other processes used the machine of a lab, the step says nothing. So it does for want of connections
//! where Little's law (L = λW) asks for as many as there are although the target answers as fast as it did in any step:
//! then more of them would have carried more. Where the target takes longer than it did before, it is what has slowed
//! down.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cpu::Cpu;
use super::interval;
use super::search::{Ask, Rate, Said};
use super::slo::{self, Slo, Stands};
use crate::backends::SettleEnd;
use crate::checks::{Conservation, Percentiles, Punctuality, Strangers, Verdict};
use crate::load::latency::LaneHistograms;
use crate::plan::{Gate, Plan};
use crate::report::RunReport;
use crate::report::figures::{hundredths, percent};

/// From this share of the connections on, some operations find none free: arrivals and answers are never quite even.
const CONNECTIONS_BUSY: f64 = 0.8;

/// The share that may fail where `--slo` says nothing of errors.
const ERRORS_UNASKED: f64 = 0.01;

/// What a remedy asks for beyond the mean.
const CONNECTIONS_SPARE: f64 = 1.5;

/// A line of the curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Requests a second.
    pub asked: Rate,
    pub lasted: Duration,
    /// Acknowledged requests a second, until the last of them was.
    pub reached: f64,
    pub response_ms: Percentiles,
    /// The 95 % interval of its p99; no upper end: too few requests to say.
    pub p99_ms_from: f64,
    pub p99_ms_to: Option<f64>,
    /// Done − sent, on average.
    pub service_ms_mean: f64,
    /// (refused + unknown + not sent) ÷ due.
    pub errors: f64,
    /// Processors, on average over the load; `None`: not known.
    pub cpu_target: Option<f64>,
    pub cpu_generator: Option<f64>,
    pub said: Said,
    /// Why it is not good.
    pub why: Vec<String>,
    /// The run's folder, in the reports folder.
    pub run: String,
}

/// A run that has ended.
pub struct Trial<'a> {
    pub ask: Ask,
    pub plan: &'a Plan,
    pub slo: &'a Slo,
    pub report: &'a RunReport,
    pub histograms: &'a LaneHistograms,
    pub cpu: Cpu,
    /// The shortest mean service time of the steps before; milliseconds.
    pub quickest: Option<f64>,
    pub run: String,
}

impl Trial<'_> {
    pub fn step(self) -> Step {
        let (said, why) = self.said();
        let p99 = interval::quantile(&self.histograms.response.0, 0.99);
        let (from, to) = p99.map_or((0.0, f64::INFINITY), |p99| (p99.low / 1e6, p99.high / 1e6));
        Step {
            asked: self.ask.rate,
            lasted: self.plan.load.duration(),
            reached: self.reached(),
            response_ms: self.histograms.response.percentiles(),
            p99_ms_from: from,
            p99_ms_to: to.is_finite().then_some(to),
            service_ms_mean: self.service_ms(),
            errors: self.errors() as f64 / self.counts().due.max(1) as f64,
            cpu_target: self.cpu.target,
            cpu_generator: self.cpu.generator,
            said,
            why,
            run: self.run,
        }
    }

    fn said(&self) -> (Said, Vec<String>) {
        let lost = self.lost_data();
        if !lost.is_empty() {
            return (Said::LostData, lost);
        }
        if self.report.interrupted {
            return (Said::Nothing, vec!["interrupted".to_owned()]);
        }
        if let Some(ours) = self.woke_late() {
            return (Said::Nothing, vec![ours]);
        }
        if self.counts().acked == 0 {
            return (Said::Nothing, vec!["nothing was acknowledged: look whether the target is there".to_owned()]);
        }
        let (missed, open) = self.limits();
        let broke: Vec<String> = missed.into_iter().chain(self.overloaded()).collect();
        let beyond = open.iter().any(|(within, _)| !within);
        match (self.excuse(), broke.is_empty(), self.unsound()) {
            (Some(excuse), false, _) => (Said::Nothing, vec![excuse].into_iter().chain(broke).collect()),
            (Some(excuse), true, _) if beyond => (Said::Nothing, vec![excuse]),
            (_, false, _) => (Said::Broke, broke),
            (_, true, unsound) if !unsound.is_empty() => (Said::Nothing, unsound),
            _ if !open.is_empty() => (Said::Open { within: !beyond }, open.into_iter().map(|(_, told)| told).collect()),
            _ => (Said::Good, Vec::new()),
        }
    }

    /// Whatever failed and is no limit of speed.
    fn lost_data(&self) -> Vec<String> {
        let of_speed = |check: &str| check == "backlog" || self.is_limit(check);
        let failed = self.report.judgement.findings.iter().filter(|finding| finding.verdict == Verdict::Fail);
        failed.filter(|f| !of_speed(&f.check)).map(|f| format!("{}: {}", f.check, f.summary)).collect()
    }

    fn is_limit(&self, check: &str) -> bool {
        self.slo.gates().iter().any(|gate| gate.name() == check)
    }

    /// mxctl itself was late.
    fn woke_late(&self) -> Option<String> {
        let load = &self.plan.load;
        let Some(Punctuality { due, woke_late, lag_ms_p99, .. }) = self.report.judgement.punctuality else {
            return Some("nobody counted whether it was asked in time".to_owned());
        };
        let limit_ms = load.own_lag_limit.as_secs_f64() * 1e3;
        let in_time = (due - woke_late) as f64 >= load.rate_floor * due as f64;
        (lag_ms_p99 > limit_ms || !in_time).then(|| {
            format!(
                "the generator is the limit: own lag p99 {} ms, {} woke too late; more `--threads` where processors are free, \
                 or another machine",
                hundredths(lag_ms_p99),
                percent(woke_late, due)
            )
        })
    }

    /// Limits that were missed, and those of which the step cannot say it, each with whether its figure is within.
    fn limits(&self) -> (Vec<String>, Vec<(bool, String)>) {
        let (mut missed, mut open) = (Vec::new(), Vec::new());
        for gate in self.slo.gates() {
            let Some(measured) = slo::measured(gate, self.histograms, (self.errors(), self.counts().due)) else {
                // Nothing was answered: the answers say so.
                continue;
            };
            match slo::stands(gate, measured) {
                Stands::Kept => {}
                Stands::Missed => missed.push(slo::missed_in_words(gate, measured)),
                Stands::Open { within } => {
                    open.push((within, format!("{}: within its error bar", slo::missed_in_words(gate, measured))));
                }
            }
        }
        (missed, open)
    }

    /// Other signs that the target does not carry the rate.
    fn overloaded(&self) -> Vec<String> {
        let judgement = &self.report.judgement;
        let mut signs = Vec::new();
        for finding in &judgement.findings {
            match (finding.check.as_str(), finding.verdict) {
                ("backlog", Verdict::Fail) => signs.push(format!("backlog grows: {}", finding.summary)),
                ("answers", Verdict::Inconclusive) => signs.push(finding.summary.clone()),
                _ => {}
            }
        }
        let share = self.errors() as f64 / self.counts().due.max(1) as f64;
        if !self.slo.limits_errors() && share > ERRORS_UNASKED {
            signs.push(format!(
                "{} failed; without a limit of errors 1 % may",
                percent(self.errors(), self.counts().due)
            ));
        }
        if self.is_undrained() {
            signs.push("the backlog was still draining when the wait for it ended".to_owned());
        }
        let late = judgement.punctuality.filter(|p| (p.on_time as f64) < self.plan.load.rate_floor * p.due as f64);
        signs.extend(late.map(|p| {
            let without = if p.no_connection >= p.no_instance { "a free connection" } else { "an instance" };
            format!("rate not kept: {} sent in time, for want of {without}", percent(p.on_time, p.due))
        }));
        signs
    }

    fn is_undrained(&self) -> bool {
        self.report.settle.as_ref().is_some_and(|settle| settle.end == SettleEnd::Undrained)
    }

    /// Why a missed rate need not be the target's.
    fn excuse(&self) -> Option<String> {
        self.strained()
            .or_else(|| self.lacked_connections())
            .or_else(|| self.disturbed())
            .or_else(|| self.tipped_by_lag())
    }

    /// Limits of latency, and nothing else, that were missed by no more than mxctl itself was late.
    fn tipped_by_lag(&self) -> Option<String> {
        let Punctuality { lag_ms_p99, without_lag_ms, .. } = self.report.judgement.punctuality?;
        let errors = (self.errors(), self.counts().due);
        let figures = self.slo.gates().iter().filter_map(|gate| {
            let measured = slo::measured(gate, self.histograms, errors)?;
            (slo::stands(gate, measured) == Stands::Missed).then_some(gate)
        });
        let tipped = |gate: &Gate| without_lag_ms.and_then(|ms| ms.of(gate.metric)).is_some_and(|s| s <= gate.limit);
        let mut figures = figures.peekable();
        (figures.peek().is_some() && figures.all(tipped) && self.overloaded().is_empty()).then(|| {
            format!(
                "the generator is the limit: its own lag p99 is {} ms of it; more `--threads`, or a calmer machine",
                hundredths(lag_ms_p99)
            )
        })
    }

    /// A thread that sends was at its own limit.
    fn strained(&self) -> Option<String> {
        let strained = self.report.judgement.punctuality?.strained()?;
        Some(format!(
            "the generator is the limit: {strained}; more `--threads` where processors are free, or another machine"
        ))
    }

    fn lacked_connections(&self) -> Option<String> {
        let waited = self.report.judgement.punctuality?.no_connection;
        let quickest = self.quickest.unwrap_or(f64::INFINITY).min(self.service_ms());
        let (busy, there) = (self.ask.rate as f64 * quickest / 1e3, f64::from(self.connections()));
        (waited > 0 && busy >= CONNECTIONS_BUSY * there).then(|| {
            format!(
                "the generator is the limit: {there} connections, of which answers in {} ms keep {busy:.1} busy (Little's \
                 law); more `--connections`, such as {}",
                hundredths(quickest),
                (busy * CONNECTIONS_SPARE / self.instances().max(1) as f64).ceil()
            )
        })
    }

    fn disturbed(&self) -> Option<String> {
        let Strangers { mean, peak, .. } =
            self.report.judgement.strangers.filter(|strangers| strangers.excuse(self.plan))?;
        Some(format!(
            "other processes took {mean:.2} processors of this machine, {peak:.2} at most; try again on a calm one"
        ))
    }

    /// What else kept the run from saying anything.
    fn unsound(&self) -> Vec<String> {
        let findings = &self.report.judgement.findings;
        let unsound = findings.iter().filter(|f| f.verdict == Verdict::Inconclusive && !self.is_limit(&f.check));
        let mut unsound: Vec<String> = unsound.map(|f| format!("{}: {}", f.check, f.summary)).collect();
        if self.plan.url.is_none() && findings.iter().all(|finding| finding.check != "backlog") {
            unsound.push("too few readings to say whether the backlog grows; a longer `--duration`".to_owned());
        }
        unsound
    }

    fn counts(&self) -> Conservation {
        self.report.judgement.conservation
    }

    fn errors(&self) -> u64 {
        self.counts().errors()
    }

    fn reached(&self) -> f64 {
        let last = self.report.judgement.punctuality.map_or(Duration::ZERO, |p| p.last_acked.as_duration());
        self.counts().acked as f64 / self.plan.load.duration().max(last).as_secs_f64()
    }

    /// On average.
    fn service_ms(&self) -> f64 {
        self.histograms.service.0.mean() / 1e6
    }

    /// Those that answer requests.
    fn instances(&self) -> usize {
        match self.plan.url {
            Some(_) => 1,
            None => self.plan.target.slots.iter().filter(|slot| slot.role.answers_requests()).count(),
        }
    }

    fn connections(&self) -> u32 {
        self.plan.load.connections * self.instances() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::SettleOutcome;
    use crate::clock::Offset;
    use crate::report::canned;
    use crate::scenario::Written;

    /// A minute at 800 a second, answered in two milliseconds.
    struct Canned {
        plan: Plan,
        report: RunReport,
        histograms: LaneHistograms,
        quickest: Option<f64>,
        slo: &'static str,
    }

    impl Canned {
        fn good() -> Canned {
            let (plan, mut judgement) = (canned::plan(), canned::passing());
            judgement.conservation = Conservation { due: 48_000, acked: 48_000, refused: 0, unknown: 0, not_sent: 0 };
            judgement.punctuality = Some(Punctuality {
                due: 48_000,
                on_time: 48_000,
                no_instance: 0,
                woke_late: 0,
                no_connection: 0,
                open_at_end: 0,
                lag_ms_p99: 0.5,
                last_acked: Offset::from_duration(plan.load.duration()),
                saturated: None,
                without_lag_ms: None,
            });
            let mut backlog = judgement.findings[0].clone();
            backlog.check = "backlog".to_owned();
            judgement.findings.push(backlog);
            let mut report = RunReport::new(&plan, &crate::timeline::Incidents::default(), judgement, canned::ran());
            report.judgement.strangers = None;
            report.judgement.findings.retain(|finding| finding.verdict == Verdict::Pass);
            let mut canned = Canned {
                plan,
                report,
                histograms: LaneHistograms::default(),
                quickest: Some(2.0),
                slo: "p99=50ms,error=0.1%",
            };
            canned.answered_in(Duration::from_millis(2), Duration::from_millis(2));
            canned
        }

        fn answered_in(&mut self, response: Duration, service: Duration) {
            self.histograms = LaneHistograms::default();
            for _ in 0..48_000 {
                self.histograms.response.record(response);
                self.histograms.service.record(service);
            }
        }

        fn punctuality(&mut self) -> &mut Punctuality {
            self.report.judgement.punctuality.as_mut().unwrap()
        }

        /// Each response was so much our own.
        fn lagged(&mut self, response: Duration, lag_ms: f64) {
            let without = Percentiles { p99: response.as_secs_f64() * 1e3 - lag_ms, ..Percentiles::default() };
            let told = self.punctuality();
            (told.lag_ms_p99, told.without_lag_ms) = (lag_ms, Some(without));
        }

        fn finds(&mut self, check: &str, verdict: Verdict) {
            let findings = &mut self.report.judgement.findings;
            let mut finding = findings[0].clone();
            findings.retain(|finding| finding.check != check);
            (finding.check, finding.verdict) = (check.to_owned(), verdict);
            findings.push(finding);
        }

        fn step(&self) -> Step {
            let Canned { plan, report, histograms, quickest, .. } = self;
            let slo = &Slo::read(self.slo).unwrap();
            let (ask, run) = (Ask { rate: 800, longer: false }, "run".to_owned());
            Trial { ask, plan, slo, report, histograms, cpu: Cpu::default(), quickest: *quickest, run }.step()
        }
    }

    fn said(change: impl FnOnce(&mut Canned)) -> Said {
        let mut canned = Canned::good();
        change(&mut canned);
        let step = canned.step();
        assert_eq!(step.why.is_empty(), step.said == Said::Good, "{step:?}");
        step.said
    }

    #[test]
    fn a_step_within_its_limits_is_good() {
        let step = Canned::good().step();
        assert_eq!((step.said, step.reached, step.errors), (Said::Good, 800.0, 0.0));
        assert!((step.service_ms_mean - 2.0).abs() < 0.01);
    }

    #[test]
    fn limits_backlog_and_errors_break_it() {
        const SLOW: Duration = Duration::from_millis(80);
        assert_eq!(said(|c| c.answered_in(SLOW, SLOW)), Said::Broke);
        assert_eq!(said(|c| c.finds("backlog", Verdict::Fail)), Said::Broke);
        assert_eq!(said(|c| c.finds("answers", Verdict::Inconclusive)), Said::Broke);
        assert_eq!(said(|c| c.report.judgement.conservation.refused = 200), Said::Broke);
        assert_eq!(said(|c| c.report.judgement.conservation.refused = 50), Said::Open { within: false });
        let undrained = |c: &mut Canned| {
            let settle = c.report.settle.take().unwrap();
            c.report.settle = Some(SettleOutcome { end: SettleEnd::Undrained, ..settle });
        };
        assert_eq!(said(undrained), Said::Broke);
    }

    #[test]
    fn more_than_one_in_a_hundred_may_not_fail_although_nobody_limited_it() {
        let failed = |count| {
            said(|c| {
                c.slo = "p99=50ms";
                c.report.judgement.conservation.refused = count;
            })
        };
        assert_eq!([failed(470), failed(490)], [Said::Good, Said::Broke]);
    }

    #[test]
    fn a_target_that_is_not_there_says_nothing_of_a_rate() {
        let away = |c: &mut Canned| {
            let counts = &mut c.report.judgement.conservation;
            (counts.acked, counts.refused) = (0, counts.due);
        };
        assert_eq!(said(away), Said::Nothing);
    }

    #[test]
    fn a_limit_that_is_missed_by_less_than_our_own_lag_accuses_nobody() {
        const SLOW: Duration = Duration::from_millis(55);
        let late = |lag_ms| {
            said(|c| {
                c.answered_in(SLOW, SLOW);
                c.lagged(SLOW, lag_ms);
            })
        };
        assert_eq!([late(12.0), late(2.0)], [Said::Nothing, Said::Broke]);
        let failing = |c: &mut Canned| {
            c.answered_in(SLOW, SLOW);
            c.lagged(SLOW, 12.0);
            c.report.judgement.conservation.refused = 200;
        };
        assert_eq!(said(failing), Said::Broke, "errors are no matter of lag");
    }

    #[test]
    fn a_failed_check_of_data_outranks_everything() {
        let lost = |c: &mut Canned| {
            c.punctuality().lag_ms_p99 = 500.0;
            c.finds("integrity", Verdict::Fail);
        };
        assert_eq!(said(lost), Said::LostData);
    }

    #[test]
    fn own_lag_and_strangers_accuse_nobody() {
        const SLOW: Duration = Duration::from_millis(80);
        let late = |c: &mut Canned| {
            c.answered_in(SLOW, SLOW);
            c.punctuality().lag_ms_p99 = 21.0;
        };
        assert_eq!(said(late), Said::Nothing);
        let strangers = Some(Strangers { mean: 1.0, peak: 1.0, disturbed: 1.0 });
        let disturbed = |c: &mut Canned| {
            c.answered_in(SLOW, SLOW);
            c.report.judgement.strangers = strangers;
        };
        assert_eq!(said(disturbed), Said::Nothing);
        assert_eq!(said(|c| c.report.judgement.strangers = strangers), Said::Good, "kept in spite of them");
        assert_eq!(said(|c| c.finds("evidence", Verdict::Inconclusive)), Said::Nothing);
        assert_eq!(said(|c| c.report.judgement.findings.retain(|f| f.check != "backlog")), Said::Nothing);
    }

    #[test]
    fn want_of_connections_is_ours_where_the_target_is_as_quick_as_ever_and_its_own_where_it_is_not() {
        const WAITED: Duration = Duration::from_millis(900);
        let short = |c: &mut Canned| {
            // Three connections that are busy for 4 ms each carry 750 a second.
            c.plan.load.connections = 1;
            c.quickest = Some(4.0);
            c.answered_in(WAITED, Duration::from_millis(4));
            (c.punctuality().on_time, c.punctuality().no_connection) = (1_000, 47_000);
        };
        let mut canned = Canned::good();
        short(&mut canned);
        let Step { said: told, why, .. } = canned.step();
        assert_eq!(told, Said::Nothing);
        assert_eq!(
            why[0],
            "the generator is the limit: 3 connections, of which answers in 4.00 ms keep 3.2 busy (Little's law); more \
             `--connections`, such as 2"
        );
        let slowed_down = |c: &mut Canned| {
            short(c);
            c.quickest = Some(0.5);
        };
        assert_eq!(said(slowed_down), Said::Broke);
        let busy_itself = |c: &mut Canned| {
            slowed_down(c);
            c.punctuality().saturated = Some(0.5);
        };
        assert_eq!(said(busy_itself), Said::Nothing);
    }
}
