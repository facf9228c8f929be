//! What a person wrote: serde structs, one to one with the YAML.
pub struct Scenario;
