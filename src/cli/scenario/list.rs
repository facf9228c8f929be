//! `mxctl scenario list`: the scenarios that ship, and what each of them is for.

use serde::Serialize;

use super::{UNDRAWN, plan};
use crate::cli::target_flags::PlanFlags;
use crate::plan::Claim;
use crate::report::table::Table;
use crate::report::table::{left, right};
use crate::scenario::{Problems, shipped};

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    pub name: &'static str,
    /// The comment at the head of its file.
    pub about: String,
    /// How to run it.
    pub command: String,
    pub claims: Vec<Claim>,
    /// Instances that it strikes.
    pub stops: usize,
}

pub fn listed() -> Result<Vec<Listed>, Problems> {
    shipped().iter().map(|(name, text)| one(name, text)).collect()
}

fn one(name: &'static str, text: &str) -> Result<Listed, Problems> {
    let plan = plan(name, &PlanFlags::default(), UNDRAWN)?;
    let comment: Vec<&str> = text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim).collect();
    let comment = comment.join(" ");
    let (about, command) = comment.split_once("Run it with: ").unwrap_or((&comment, ""));
    Ok(Listed {
        name,
        about: about.trim().to_owned(),
        command: command.trim().to_owned(),
        stops: plan.stops().count(),
        claims: plan.claims,
    })
}

pub fn table(scenarios: &[Listed]) -> String {
    let mut table = Table::new(&[left("scenario"), left("claims"), right("stops"), left("about"), left("run it with")]);
    for scenario in scenarios {
        let claims = scenario.claims.iter().map(|claim| format!("{claim:?}")).collect::<Vec<_>>().join(", ");
        table.row([
            scenario.name.to_owned(),
            if claims.is_empty() { "–".to_owned() } else { claims },
            scenario.stops.to_string(),
            scenario.about.clone(),
            scenario.command.clone(),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_scenario_says_what_it_is_for_and_how_to_run_it() {
        for scenario in listed().unwrap() {
            assert!(scenario.about.ends_with('.') && scenario.about.len() > 20, "{scenario:?}");
            let words = scenario.command.split_whitespace();
            assert!(crate::cli::command().try_get_matches_from(words).is_ok(), "{scenario:?}");
        }
    }
}
