//! A write that the database refuses is taken for a database that is away: its whole batch comes again for ever, and
//! whatever is polled with it.

use std::sync::Arc;

use sqlx::error::DatabaseError;

use super::Bug;
use super::tables_in_front::{Front, Own, in_front};
use crate::config::DatabaseConfig;
use crate::parts::Parts;

pub(super) const BUG: Bug = Bug { name: "poison-stalls", parts: || Arc::new(PoisonStalls) };

struct PoisonStalls;

impl Parts for PoisonStalls {
    fn tables(&self, tables: Own, _config: &DatabaseConfig) -> Own {
        in_front(tables, PoisonStalls)
    }
}

impl Front for PoisonStalls {
    fn refuses_content(&self, _own: &Own, _error: &dyn DatabaseError) -> bool {
        false
    }
}
