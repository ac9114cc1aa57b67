//! Aligned columns of text, for people and for `awk`.

use unicode_width::UnicodeWidthStr;

/// Lines with columns as wide as their widest cell; columns of numbers to the right.
pub(crate) fn aligned<const N: usize>(names: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = rows.map(|row| row.map(|cell| one_line(&cell))).collect();
    let is_number = |cell: &str| cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let mut lines = vec![String::new(); rows.len() + 1];
    for (column, name) in names.into_iter().enumerate() {
        let cells: Vec<&str> =
            std::iter::once(name).chain(rows.iter().map(|row| row[column].as_str())).collect();
        let width = cells.iter().map(|cell| cell.width()).max().unwrap_or(0);
        let right = rows.iter().all(|row| is_number(&row[column]));
        for (line, cell) in lines.iter_mut().zip(cells) {
            let gap = if column == 0 { "" } else { "  " };
            let padding = " ".repeat(width - cell.width());
            *line += &if right { format!("{gap}{padding}{cell}") } else { format!("{gap}{cell}{padding}") };
        }
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The text with single blanks for whatever separates its words.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["a".into(), "9".into(), "x".into()], ["größer".into(), "10".into(), "y\n z".into()]];
        let text = aligned(["NAME", "N", "TEXT"], rows.into_iter());
        assert_eq!(text, "NAME     N  TEXT\na        9  x\ngrößer  10  y z\n");
    }
}
