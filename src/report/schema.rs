//! The JSON Schema of `run.json`: derived from the types that are written, so that it cannot say anything else.

use schemars::Schema;
use schemars::generate::SchemaSettings;

use super::{RunReport, SCHEMA};

/// As `run.json` is written: fields that are always there are required, also where they may be null.
pub fn schema() -> Schema {
    let mut schema =
        SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<RunReport>();
    schema.insert("title".into(), format!("run.json of mxctl, schema {SCHEMA}").into());
    schema
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    fn validator() -> jsonschema::Validator {
        jsonschema::validator_for(schema().as_value()).expect("a schema by the standard")
    }

    fn sample(name: &str) -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/sample").join(name).join("run.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn the_golden_reports_follow_the_schema() {
        for name in ["pass", "fail", "inconclusive"] {
            let errors: Vec<_> = validator().iter_errors(&sample(name)).map(|e| e.to_string()).collect();
            assert_eq!(errors, [] as [String; 0], "{name}");
        }
    }

    #[test]
    fn a_report_with_a_field_missing_or_of_another_kind_does_not() {
        let validator = validator();
        for field in ["verdict", "judgement", "declared", "duration"] {
            let mut report = sample("pass");
            report.as_object_mut().unwrap().remove(field);
            assert!(!validator.is_valid(&report), "without {field}");
        }
        let mut report = sample("pass");
        report["judgement"]["findings"][0]["verdict"] = "FINE".into();
        assert!(!validator.is_valid(&report));
    }

    #[test]
    fn every_field_of_a_golden_report_is_described() {
        let schema = schema();
        let known = schema.as_value()["properties"].as_object().unwrap();
        assert!(sample("fail").as_object().unwrap().keys().all(|field| known.contains_key(field)));
    }
}
