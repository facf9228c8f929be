//! The run's histograms as an HDR log (`.hlog`), which the tools of the HdrHistogram family read, plot and merge: one
//! line a histogram, told apart by its tag, in nanoseconds, lossless.
//!
//! In: an [`HdrLog`]. Out: its bytes; and back.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{
    IntervalLogHistogram, IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag,
};
use hdrhistogram::serialization::{Deserializer, V2DeflateSerializer};
use jiff::{SignedDuration, Timestamp};

use super::latency::{Durations, LaneHistograms};

/// To milliseconds, which is what the log's own maxima are read in.
const MAX_VALUE_DIVISOR: f64 = 1e6;

/// The histograms of one load, or of several that were merged.
#[derive(Debug, Clone)]
pub struct HdrLog {
    pub histograms: LaneHistograms,
    pub started_at: Timestamp,
    pub duration: Duration,
}

#[derive(Debug, thiserror::Error)]
#[error("read the histograms: {0}")]
pub struct HdrLogError(String);

impl HdrLog {
    pub fn written(&self) -> Vec<u8> {
        let (mut bytes, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
        let mut log = IntervalLogWriterBuilder::new()
            .add_comment("mxctl: nanoseconds; response = done - due, service = done - sent")
            .with_start_time(SystemTime::from(self.started_at))
            .with_max_value_divisor(MAX_VALUE_DIVISOR)
            .begin_log_with(&mut bytes, &mut serializer)
            .expect("memory takes what is written to it");
        for (tag, Durations(histogram)) in self.histograms.named() {
            let tag = Tag::new(tag).expect("a tag without spaces and commas");
            log.write_histogram(histogram, Duration::ZERO, self.duration, Some(tag))
                .expect("memory takes what is written to it");
        }
        bytes
    }

    /// Every histogram has to be there, once: a part of a load is not the load.
    pub fn read(bytes: &[u8]) -> Result<HdrLog, HdrLogError> {
        let mut log = HdrLog {
            histograms: LaneHistograms::default(),
            started_at: Timestamp::UNIX_EPOCH,
            duration: Duration::ZERO,
        };
        let mut found = Vec::new();
        for entry in IntervalLogIterator::new(bytes) {
            match entry.map_err(|e| HdrLogError(format!("a line is no line of an HDR log ({e:?})")))? {
                LogEntry::StartTime(since_1970) => log.started_at = moment(since_1970)?,
                LogEntry::BaseTime(_) => {}
                LogEntry::Interval(interval) => {
                    log.duration = log.duration.max(interval.duration());
                    found.push(log.take(&interval)?);
                }
            }
        }
        found.sort_unstable();
        let mut wanted = log.histograms.named().map(|(tag, _)| tag);
        wanted.sort_unstable();
        match found == wanted {
            true => Ok(log),
            false => Err(HdrLogError(format!("it has {}; a run has {}", found.join(", "), wanted.join(", ")))),
        }
    }

    /// Puts a histogram in its place; the answer is its tag.
    fn take(&mut self, interval: &IntervalLogHistogram) -> Result<&'static str, HdrLogError> {
        let tag = interval.tag().map_or("", |tag| tag.as_str()).to_owned();
        let place = self.histograms.named_mut().into_iter().find(|(name, _)| **name == tag);
        let (name, durations) = place.ok_or_else(|| HdrLogError(format!("`{tag}` is no histogram of a run")))?;
        *durations = Durations(decoded(interval.encoded_histogram())?);
        Ok(name)
    }
}

fn decoded(text: &str) -> Result<Histogram<u64>, HdrLogError> {
    let bytes = STANDARD.decode(text).map_err(|e| HdrLogError(e.to_string()))?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|e| HdrLogError(e.to_string()))
}

fn moment(since_1970: Duration) -> Result<Timestamp, HdrLogError> {
    let since_1970 = SignedDuration::try_from(since_1970).map_err(|e| HdrLogError(e.to_string()))?;
    Timestamp::from_duration(since_1970).map_err(|e| HdrLogError(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> HdrLog {
        let mut histograms = LaneHistograms::default();
        for ms in 1..=1000 {
            histograms.response.record(Duration::from_millis(ms));
        }
        HdrLog { histograms, started_at: Timestamp::constant(1_795_478_400, 0), duration: Duration::from_secs(30) }
    }

    #[test]
    fn a_log_read_back_has_every_value() {
        let log = log();
        let read = HdrLog::read(&log.written()).unwrap();
        assert_eq!((read.started_at, read.duration), (log.started_at, log.duration));
        let all = |log: &HdrLog| log.histograms.named().map(|(tag, durations)| (tag, durations.0.clone()));
        assert_eq!(all(&read), all(&log));
    }

    #[test]
    fn a_log_that_lacks_a_histogram_or_is_none_is_refused() {
        let text = String::from_utf8(log().written()).unwrap();
        let without = |tag: &str| {
            let lines: Vec<&str> = text.lines().filter(|line| !line.contains(tag)).collect();
            HdrLog::read((lines.join("\n") + "\n").as_bytes())
        };
        assert!(without("Tag=service").unwrap_err().to_string().contains("it has response, waited, woke-late"));
        assert!(HdrLog::read(text.replace("Tag=waited", "Tag=other").as_bytes()).is_err());
        assert!(HdrLog::read(b"nothing of the kind\n").is_err());
    }
}
