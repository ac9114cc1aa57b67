//! A result as a text table fitted to the terminal.

use std::io::{IsTerminal, Write};

use arrow::datatypes::{DataType, Schema};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The narrowest that a column is made to fit the terminal.
const LEAST_COLUMN_WIDTH: usize = 6;

/// How much of a result is shown.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Characters of a line.
    pub(super) width: usize,
    pub(super) rows: usize,
}

impl Limits {
    /// The terminal's width, or none where stdout is not a terminal.
    pub(super) fn of_terminal() -> Limits {
        let is_terminal = std::io::stdout().is_terminal();
        let size = if is_terminal { terminal_size::terminal_size() } else { None };
        Limits { width: size.map_or(usize::MAX, |(width, _)| usize::from(width.0)), rows: usize::MAX }
    }
}

/// Rows collected to be printed together.
pub(super) struct Table {
    names: Vec<String>,
    right_aligned: Vec<bool>,
    cells: Vec<String>,
    rows: usize,
    limits: Limits,
}

impl Table {
    pub(super) fn new(schema: &Schema, limits: Limits) -> Table {
        let fields = schema.fields();
        Table {
            names: fields.iter().map(|field| one_line(field.name())).collect(),
            right_aligned: fields.iter().map(|field| is_number(field.data_type())).collect(),
            cells: Vec::new(),
            rows: 0,
            limits,
        }
    }

    /// Adds `rows` rows of cells.
    pub(super) fn push(&mut self, rows: usize, cell: impl Fn(usize, usize) -> String) {
        let shown = rows.min(self.limits.rows.saturating_sub(self.rows));
        for row in 0..shown {
            self.cells.extend((0..self.names.len()).map(|column| one_line(&cell(row, column))));
        }
        self.rows += rows;
    }

    pub(super) fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let columns = self.shown_columns();
        let widths = self.widths(&columns);
        let rule = |left: &str, middle: &str, right: &str| {
            let lines: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
            format!("{left}{}{right}", lines.join(middle))
        };
        writeln!(out, "{}", rule("┌", "┬", "┐"))?;
        self.write_row(out, &self.names, &columns, &widths)?;
        writeln!(out, "{}", rule("├", "┼", "┤"))?;
        for row in self.cells.chunks(self.names.len()) {
            self.write_row(out, row, &columns, &widths)?;
        }
        writeln!(out, "{}", rule("└", "┴", "┘"))?;
        let hidden = columns.iter().filter(|column| column.is_some()).count();
        let hidden = self.names.len() - hidden;
        self.write_count(out)?;
        match hidden {
            0 => writeln!(out),
            _ => {
                writeln!(out, ", {} columns, {hidden} of them not shown (…); \\x shows all", self.names.len())
            }
        }
    }

    /// Every value on a line of its own, behind its column's name.
    pub(super) fn write_expanded(&self, out: &mut impl Write) -> std::io::Result<()> {
        let width = self.names.iter().map(|name| name.width()).max().unwrap_or(0);
        for (number, row) in self.cells.chunks(self.names.len()).enumerate() {
            writeln!(out, "── row {} {}", number + 1, "─".repeat(width))?;
            for (name, cell) in self.names.iter().zip(row) {
                writeln!(out, "{name}{} │ {cell}", " ".repeat(width - name.width()))?;
            }
        }
        self.write_count(out)?;
        writeln!(out)
    }

    fn write_count(&self, out: &mut impl Write) -> std::io::Result<()> {
        let shown = self.cells.len() / self.names.len().max(1);
        let unit = if self.rows == 1 { "row" } else { "rows" };
        write!(out, "{} {unit}", self.rows)?;
        if shown < self.rows { write!(out, ", the first {shown} shown") } else { Ok(()) }
    }

    /// The columns that the terminal has room for at their least width: the first and the last ones, with `None`
    /// in the place of those between.
    fn shown_columns(&self) -> Vec<Option<usize>> {
        let count = self.names.len();
        let all = || (0..count).map(Some);
        let least = |column: usize| {
            let cells = self.cells.iter().skip(column).step_by(count).chain([&self.names[column]]);
            cells.map(|cell| cell.width()).max().unwrap_or(0).min(LEAST_COLUMN_WIDTH) + 3
        };
        if all().flatten().map(least).sum::<usize>() < self.limits.width {
            return all().collect();
        }
        // The frame's last line and the column of dots.
        let mut left = self.limits.width.saturating_sub(1 + 4);
        let (mut first, mut last) = (0, count);
        while first < last {
            let from_start = first <= count - last;
            let width = least(if from_start { first } else { last - 1 });
            if width > left {
                break;
            }
            left -= width;
            if from_start { first += 1 } else { last -= 1 }
        }
        // At least one is shown, however narrow the terminal.
        all().take(first.max(1)).chain([None]).chain(all().skip(last.max(first.max(1)))).collect()
    }

    fn write_row(
        &self,
        out: &mut impl Write,
        cells: &[String],
        columns: &[Option<usize>],
        widths: &[usize],
    ) -> std::io::Result<()> {
        let mut line = String::from("│");
        for (column, &width) in columns.iter().zip(widths) {
            let cell = column.map_or("…", |column| &cells[column]);
            let right = column.is_some_and(|column| self.right_aligned[column]);
            let cell = cut(cell, width);
            let padding = " ".repeat(width.saturating_sub(cell.width()));
            line.push(' ');
            line += &if right { padding + &cell } else { cell + &padding };
            line.push_str(" │");
        }
        writeln!(out, "{line}")
    }

    /// The width of each column: that of its widest cell, or less where the line would be too long.
    fn widths(&self, columns: &[Option<usize>]) -> Vec<usize> {
        let width =
            |cells: &[String], column: Option<usize>| column.map_or(1, |column| cells[column].width());
        let mut widths: Vec<usize> = columns.iter().map(|&column| width(&self.names, column)).collect();
        for row in self.cells.chunks(self.names.len()) {
            for (widest, &column) in widths.iter_mut().zip(columns) {
                *widest = (*widest).max(width(row, column));
            }
        }
        let frame = 3 * widths.len() + 1;
        let available = self.limits.width.saturating_sub(frame);
        // Take from the widest columns until all fit or none can give.
        while widths.iter().sum::<usize>() > available {
            let excess = widths.iter().sum::<usize>() - available;
            let Some(widest) = widths.iter().copied().max() else { break };
            if widest <= LEAST_COLUMN_WIDTH {
                break;
            }
            let next = widths.iter().copied().filter(|width| *width < widest).max().unwrap_or(0);
            let count = widths.iter().filter(|width| **width == widest).count();
            let target = next.max(widest.saturating_sub(excess.div_ceil(count))).max(LEAST_COLUMN_WIDTH);
            widths.iter_mut().filter(|width| **width == widest).for_each(|width| *width = target);
        }
        widths
    }
}

/// The text cut to a width, with an ellipsis where something is left out.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_string();
    }
    let mut used = 1;
    let kept = text.chars().take_while(|c| {
        used += c.width().unwrap_or(0);
        used <= width
    });
    kept.collect::<String>() + "…"
}

/// Control characters as they are written in text literals, so that a row stays on its line.
fn one_line(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_string();
    }
    let mut line = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c.is_control() {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line
}

fn is_number(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_number(values),
        other => other.is_numeric(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;

    fn render(rows: &[[&str; 2]], limits: Limits) -> String {
        let name = Field::new("name", DataType::Utf8, true);
        let schema = Schema::new(vec![name, Field::new("n", DataType::Int32, true)]);
        let mut table = Table::new(&schema, limits);
        table.push(rows.len(), |row, column| rows[row][column].to_string());
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    const UNLIMITED: Limits = Limits { width: usize::MAX, rows: usize::MAX };

    #[test]
    fn numbers_are_aligned_to_the_right() {
        let expected = "\
┌──────┬─────┐
│ name │   n │
├──────┼─────┤
│ a\\nb │   1 │
│ 日本 │ 100 │
└──────┴─────┘
2 rows
";
        assert_eq!(render(&[["a\nb", "1"], ["日本", "100"]], UNLIMITED), expected);
    }

    #[test]
    fn wide_columns_are_cut_to_the_terminal() {
        let long = "x".repeat(100);
        let text = render(&[[&long, "1"]], Limits { width: 30, rows: usize::MAX });
        assert!(text.lines().all(|line| line.width() <= 30), "{text}");
        assert!(text.contains("x… │ 1 │"), "{text}");
    }

    #[test]
    fn columns_without_room_are_left_out() {
        let fields: Vec<Field> =
            (0..40).map(|n| Field::new(format!("column_{n}"), DataType::Utf8, true)).collect();
        for width in [1, 30, 60, 100, 200, 1000] {
            let mut table = Table::new(&Schema::new(fields.clone()), Limits { width, rows: 9 });
            table.push(1, |_, column| format!("value {column}"));
            let mut out = Vec::new();
            table.write(&mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            let frame = text.lines().filter(|line| line.starts_with(['┌', '│'])).map(|line| line.width());
            assert!(frame.max().unwrap() <= width.max(20), "{width}: {text}");
            assert_eq!(text.contains("not shown"), width < 500, "{width}: {text}");
            assert!(text.contains("colu"), "{width}: {text}");
        }
        let mut table = Table::new(&Schema::new(fields), Limits { width: 30, rows: 9 });
        table.push(2, |row, column| format!("{row}/{column}"));
        let mut out = Vec::new();
        table.write_expanded(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("column_39 │ 1/39") && text.ends_with("2 rows\n"), "{text}");
    }

    #[test]
    fn rows_beyond_the_limit_are_counted() {
        let text = render(&[["a", "1"], ["b", "2"], ["zz", "3"]], Limits { width: 80, rows: 2 });
        assert!(text.ends_with("3 rows, the first 2 shown\n") && !text.contains("zz"), "{text}");
        assert!(render(&[], UNLIMITED).ends_with("0 rows\n"));
    }
}
