//! `run.json`: the report for machines, and the one that is read back.

use super::{RenderError, Renderer, RunReport};

pub struct Json;

impl Renderer for Json {
    fn render(&self, report: &RunReport) -> Result<Vec<u8>, RenderError> {
        let mut text =
            serde_json::to_vec_pretty(report).map_err(|e| RenderError { form: "JSON", why: e.to_string() })?;
        text.push(b'\n');
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::canned;
    use super::*;

    #[test]
    fn run_json_reads_back_as_the_report_that_it_was() {
        for (_, report) in canned::reports() {
            let bytes = Json.render(&report).unwrap();
            assert_eq!(serde_json::from_slice::<RunReport>(&bytes).unwrap(), report);
        }
    }

    #[test]
    fn a_figure_with_seventeen_digits_survives() {
        let mut report = canned::reports().remove(0).1;
        report.judgement.latency[0].response_ms.p99 = 0.1 + 0.2;
        let bytes = Json.render(&report).unwrap();
        assert_eq!(serde_json::from_slice::<RunReport>(&bytes).unwrap(), report);
    }
}
