//! Tables for a terminal: aligned columns, no frame, at most [`WIDTH`] columns wide: words that do not fit are wrapped.

use tabled::builder::Builder;
use tabled::settings::formatting::AlignmentStrategy;
use tabled::settings::object::Columns;
use tabled::settings::peaker::Priority;
use tabled::settings::{Alignment, Padding, Span, Style, Width};

use super::text::{WIDTH, columns};
use crate::mask::mask;

const INDENT: &str = "  ";
const GAP: usize = 2;

pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

#[derive(Clone, Copy)]
pub struct Column {
    /// May have two lines.
    title: &'static str,
    right: bool,
}

enum Row {
    Cells(Vec<String>),
    /// Stands over the rows that follow it, across all columns.
    Heading(String),
}

pub const fn left(title: &'static str) -> Column {
    Column { title, right: false }
}

pub const fn right(title: &'static str) -> Column {
    Column { title, right: true }
}

impl Table {
    pub fn new(columns: &[Column]) -> Table {
        Table { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(N, self.columns.len(), "a row has a cell for each column");
        // Before lines are wrapped: a password that is cut in two is not known as one.
        self.rows.push(Row::Cells(cells.map(|cell| mask(&cell)).into()));
    }

    pub fn heading(&mut self, text: String) {
        self.rows.push(Row::Heading(text));
    }

    /// At most [`WIDTH`] columns wide.
    pub fn render(&self) -> String {
        let mut table = self.build();
        // The widest column gives way first. The gap behind the last column is cut off below.
        let width = WIDTH - columns(INDENT) + GAP;
        table.with(Width::wrap(width).keep_words(true).priority(Priority::max(true)));
        indented(&table)
    }

    /// As wide as its words are: for a table to copy from.
    pub fn render_whole(&self) -> String {
        indented(&self.build())
    }

    fn build(&self) -> tabled::Table {
        let mut builder = Builder::default();
        builder.push_record(self.columns.iter().map(|column| column.title));
        for row in &self.rows {
            match row {
                Row::Cells(cells) => builder.push_record(cells),
                Row::Heading(text) => builder.push_record([text]),
            }
        }
        let mut table = builder.build();
        table.with(Style::empty()).with(Padding::new(0, GAP, 0, 0)).with(AlignmentStrategy::PerLine);
        self.shape(&mut table);
        table
    }

    fn shape(&self, table: &mut tabled::Table) {
        for (i, column) in self.columns.iter().enumerate() {
            if column.right {
                table.modify(Columns::one(i), Alignment::right());
            }
        }
        for (i, row) in self.rows.iter().enumerate() {
            if let Row::Heading(_) = row {
                table.modify((i + 1, 0), Span::column(self.columns.len() as isize));
            }
        }
    }
}

fn indented(table: &tabled::Table) -> String {
    table.to_string().lines().map(|line| format!("{INDENT}{line}").trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_grouped_under_headings() {
        let mut table = Table::new(&[left("slot"), right("acks in\nwindow"), left("why")]);
        table.heading("1:rolling-update, graceful".into());
        table.row(["api-1".into(), "7,812".into(), "a reason".into()]);
        table.row(["worker-10".into(), "9".into(), String::new()]);
        insta::assert_snapshot!(table.render(), @"
        slot       acks in  why
                    window
        1:rolling-update, graceful
        api-1        7,812  a reason
        worker-10        9
        ");
    }

    #[test]
    fn the_widest_column_gives_way_where_a_line_is_too_long() {
        let mut table = Table::new(&[left("slot"), left("why"), right("acks")]);
        table.row(["api-1".into(), "word ".repeat(40), "7,812".into()]);
        let text = table.render();
        assert!(text.lines().all(|line| columns(line) <= WIDTH), "{text}");
        assert!(text.contains("api-1  word word") && text.contains("word  7,812\n"), "{text}");
    }
}
