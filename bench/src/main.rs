//! Writes the web-analytics table: `tundra-bench FOLDER ROWS [SEED]`.

mod hits;

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, rows, rest @ ..] = arguments.as_slice() else {
        return Err("tundra-bench FOLDER ROWS [SEED]".into());
    };
    let seed = rest.first().map_or(Ok(1), |seed| seed.parse())?;
    hits::write(Path::new(folder), rows.parse()?, seed, &|_| {})?;
    Ok(())
}
