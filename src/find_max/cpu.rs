//! The processors that a step used: those of its instances, from the run's own readings, and those of mxctl itself.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::backends::InstanceId;
use crate::process::ProcessIdentity;
use crate::readback::cpu::CpuReading;
use crate::timeline::Incidents;
use crate::watch::{Event, Phase, Watch};

/// Processors that were used over the load.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cpu {
    pub target: Option<f64>,
    pub generator: Option<f64>,
}

/// Looks on beside another watch, and reads this process's time as the load begins and when it is over.
pub struct Meter<'a> {
    watch: &'a dyn Watch,
    readings: Mutex<Vec<Reading>>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    phase: Phase,
    at: Instant,
    used: Option<Duration>,
}

impl<'a> Meter<'a> {
    pub fn beside(watch: &'a dyn Watch) -> Meter<'a> {
        Meter { watch, readings: Mutex::default() }
    }

    /// Processors over the load.
    pub fn generator(&self) -> Option<f64> {
        let readings = self.readings.lock().expect("no code panics while it holds the readings");
        let load = readings.iter().position(|reading| reading.phase == Phase::Load)?;
        let (from, to) = (readings.get(load)?, readings.get(load + 1)?);
        Some((to.used? - from.used?).as_secs_f64() / to.at.duration_since(from.at).as_secs_f64())
    }
}

#[async_trait]
impl Watch for Meter<'_> {
    async fn phase(&self, phase: Phase) {
        let used = ProcessIdentity::of(std::process::id() as i32).ok().and_then(ProcessIdentity::cpu_time);
        let reading = Reading { phase, at: Instant::now(), used };
        self.readings.lock().expect("no code panics while it holds the readings").push(reading);
        self.watch.phase(phase).await;
    }

    fn event(&self, event: Event) {
        self.watch.event(event);
    }
}

/// Processors of all instances together, between the first and the last reading of each. `None`: nobody's time was read,
/// as that of threads of mxctl itself.
pub fn of_target(incidents: &Incidents) -> Option<f64> {
    let mut by_instance: BTreeMap<InstanceId, Vec<&CpuReading>> = BTreeMap::new();
    incidents.cpu.iter().for_each(|reading| by_instance.entry(reading.instance).or_default().push(reading));
    let used = |readings: &Vec<&CpuReading>| {
        let (first, last) = (readings.first()?, readings.last()?);
        let lasted = last.at.since(first.at).as_secs_f64();
        (lasted > 0.0).then(|| last.used.saturating_sub(first.used).as_secs_f64() / lasted)
    };
    let all: Option<Vec<f64>> = by_instance.values().map(used).collect();
    all.filter(|used| !used.is_empty()).map(|used| used.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Offset;
    use crate::watch::Unwatched;

    #[tokio::test]
    async fn a_load_that_burns_a_processor_shows() {
        let meter = Meter::beside(&Unwatched);
        meter.phase(Phase::Up).await;
        meter.phase(Phase::Load).await;
        assert_eq!(meter.generator(), None, "it is not over");
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(100) {
            std::hint::spin_loop();
        }
        meter.phase(Phase::Judge).await;
        assert!(meter.generator().is_some_and(|used| used > 0.0), "{:?}", meter.generator());
    }

    #[test]
    fn the_target_s_processors_are_the_sum_of_its_instances() {
        let reading = |instance, seconds, used| CpuReading {
            at: Offset::from_duration(Duration::from_secs(seconds)),
            instance: InstanceId(instance),
            used: Duration::from_millis(used),
        };
        let cpu = vec![reading(1, 0, 100), reading(2, 0, 0), reading(1, 10, 5_100), reading(2, 10, 2_000)];
        let used = of_target(&Incidents { cpu, ..Incidents::default() }).unwrap();
        assert!((used - 0.7).abs() < 1e-9, "{used}");
        assert_eq!(of_target(&Incidents::default()), None);
    }
}
