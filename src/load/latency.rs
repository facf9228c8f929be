//! Latency: three histograms a lane.
