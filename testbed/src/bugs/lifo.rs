//! Pushed and popped at the same end: v1, v2, v3 come out v3, v2, v1.

use std::sync::Arc;

use super::Bug;
use super::scripted::Scripted;
use crate::strategy::redis::{Lazy, PUSH_SOURCE, SCRIPTS, Script, Scripts};

pub(super) const BUG: Bug =
    Bug { name: "lifo", parts: || Arc::new(Scripted(Scripts { push: &AT_THE_WRONG_END, ..SCRIPTS })) };

static AT_THE_WRONG_END: Lazy = Lazy::new(|| Script::new("", &[&PUSH_SOURCE.replace("'LPUSH'", "'RPUSH'")]));
