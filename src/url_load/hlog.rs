//! The run's histograms as an HDR log (`.hlog`), which the tools of the HdrHistogram family read, plot and merge: one
//! line a histogram, told apart by its tag, in nanoseconds, lossless.

use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use jiff::Timestamp;

use crate::load::latency::{Durations, LaneHistograms};

/// To milliseconds, which is what the log's own maxima are read in.
const MAX_VALUE_DIVISOR: f64 = 1e6;

pub fn written(histograms: &LaneHistograms, started_at: Timestamp, duration: Duration) -> Vec<u8> {
    let (mut bytes, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let tagged = [
        ("response", &histograms.response),
        ("service", &histograms.service),
        ("waited", &histograms.waited),
        ("woke-late", &histograms.woke_late),
    ];
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("mxctl: nanoseconds; response = done - due, service = done - sent")
        .with_start_time(SystemTime::from(started_at))
        .with_max_value_divisor(MAX_VALUE_DIVISOR)
        .begin_log_with(&mut bytes, &mut serializer)
        .expect("memory takes what is written to it");
    for (tag, durations) in tagged {
        let Durations(histogram) = durations;
        let tag = Tag::new(tag).expect("a tag without spaces and commas");
        log.write_histogram(histogram, Duration::ZERO, duration, Some(tag))
            .expect("memory takes what is written to it");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn a_log_read_back_has_every_value() {
        let mut histograms = LaneHistograms::default();
        for ms in 1..=1000 {
            histograms.response.record(Duration::from_millis(ms));
        }
        let log = written(&histograms, Timestamp::UNIX_EPOCH, Duration::from_secs(30));
        let entries = IntervalLogIterator::new(&log).filter_map(|entry| match entry.unwrap() {
            LogEntry::Interval(interval) => Some(interval),
            _ => None,
        });
        let found: Vec<_> = entries.collect();
        assert_eq!(
            found.iter().map(|i| i.tag().unwrap().as_str()).collect::<Vec<_>>(),
            ["response", "service", "waited", "woke-late"]
        );
        let encoded = found[0].encoded_histogram();
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).unwrap();
        let read: hdrhistogram::Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        assert_eq!(read, histograms.response.0);
    }
}
