//! Aligned columns of text, for people and for `awk`.

use unicode_width::UnicodeWidthStr;

/// Lines with columns as wide as their widest cell; columns of numbers to the right.
pub(crate) fn aligned<const N: usize>(names: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let names = names.map(str::to_string).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(names).chain(rows.map(Vec::from)).collect();
    lines(&rows, 0)
}

/// As [`aligned`], where the first row has the names. The first `texts` columns are texts, whatever they hold.
pub(crate) fn lines(rows: &[Vec<String>], texts: usize) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
    let is_number = |cell: &str| cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let mut lines = vec![String::new(); rows.len()];
    for column in 0..rows.first().map_or(0, Vec::len) {
        let cells: Vec<&str> = rows.iter().map(|row| row[column].as_str()).collect();
        let width = cells.iter().map(|cell| cell.width()).max().unwrap_or(0);
        let right = column >= texts && cells.iter().skip(1).all(|cell| is_number(cell));
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
