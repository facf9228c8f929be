//! What differs between databases in the statements of this service.

use sqlx::error::DatabaseError;

/// The words of one database. Columns and their order are the same everywhere: see [`UPSERT_HEAD`].
pub trait Dialect: sqlx::Database {
    /// Begins a transaction that writes.
    const BEGIN: &'static str;
    /// Stands before a bound number of hundredths and makes it an amount; exact, never by way of a float.
    const HUNDREDTHS: &'static str;
    const NOW: &'static str;
    /// Ends an upsert: a row that is there is changed only by a newer `write_seq`.
    const ON_CONFLICT: &'static str;
    /// `preset_no`, `write_seq` and the costs, in hundredths, of one character, by preset.
    const READ: &'static str;

    /// Whether it is the content of the tasks that the database refuses.
    fn refuses_content(error: &dyn DatabaseError) -> bool;

    /// Whether the transaction was rolled back in favour of another one, and would succeed at once.
    fn rolled_back_for_another(error: &dyn DatabaseError) -> bool;
}

pub const UPSERT_HEAD: &str = "INSERT INTO equipment_expectation_summary
    (game_character_id, preset_no, total_expected_cost, black_cube_cost, red_cube_cost, additional_cube_cost,
     starforce_cost, calculated_at, version, write_seq, written_by) ";

pub const DROPPED_HEAD: &str =
    "INSERT INTO expectation_write_witness (game_character_id, preset_no, new_seq, written_by, kind) ";
