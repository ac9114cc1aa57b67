//! The chart: a bar for every engine and query, on a logarithmic scale. It has a ground of its own, so that it reads
//! on light and on dark pages.

use std::fmt::Write;

use crate::report::{Report, TUNDRA};
use crate::table::milliseconds;

const PLOT_HEIGHT: f64 = 300.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 86.0;
const RIGHT: f64 = 20.0;
const GAP: f64 = 9.0;

/// Tundra's colour stands out; the peers' are told apart with any colour vision (after Okabe and Ito, 2008).
const TUNDRA_COLOUR: &str = "#d1242f";
const PEER_COLOURS: [&str; 6] = ["#0072b2", "#56b4e9", "#e69f00", "#009e73", "#9a7bb5", "#8c8c8c"];

/// The bars of a query, or of the geometric mean.
struct Cluster<'a> {
    label: &'a str,
    times: Vec<Option<f64>>,
}

pub(crate) fn chart(report: &Report) -> String {
    let engines = report.timed_engines();
    let times = |of: &dyn Fn(&str) -> Option<f64>| engines.iter().map(|engine| of(&engine.name)).collect();
    let mut clusters: Vec<Cluster> = Vec::new();
    for query in &report.queries {
        clusters.push(Cluster { label: &query.name, times: times(&|engine| query.hot_ms(engine)) });
    }
    let mean = |engine: &str| Some(report.summary(engine).geometric_mean_ms);
    clusters.push(Cluster { label: "geometric mean", times: times(&mean) });

    let bars = engines.len().max(1) as f64;
    let bar = (40.0 / bars).clamp(4.0, 12.0);
    let pitch = bar * bars + GAP;
    let width = (LEFT + RIGHT + pitch * clusters.len() as f64 + GAP).max(640.0);
    let height = TOP + PLOT_HEIGHT + BOTTOM;
    let scale = Scale::over(clusters.iter().flat_map(|cluster| cluster.times.iter().flatten().copied()));

    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" font-family=\"system-ui, sans-serif\" font-size=\"11\" fill=\"#1f2328\" role=\"img\">\n\
         <title>{title}</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"15\" font-weight=\"600\">{title}</text>\n\
         <text x=\"{LEFT}\" y=\"42\" fill=\"#59636e\">milliseconds, logarithmic, less is better; hot, {threads} \
         threads, {machine}</text>\n",
        title = escaped(&report.title),
        threads = report.settings.threads,
        machine = escaped(&report.machine.cpu),
    );
    legend(&mut svg, &engines.iter().map(|engine| engine.name.as_str()).collect::<Vec<_>>());
    grid(&mut svg, &scale, width);
    for (number, cluster) in clusters.iter().enumerate() {
        let left = LEFT + GAP + pitch * number as f64;
        let weight = if number + 1 == clusters.len() { " font-weight=\"600\"" } else { "" };
        for (engine, time) in cluster.times.iter().enumerate() {
            let Some(time) = time else { continue };
            let top = scale.height(*time);
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{bar:.1}\" height=\"{top:.1}\" fill=\"{colour}\">\
                 <title>{label}, {name}: {time} ms</title></rect>",
                x = left + bar * engine as f64,
                y = TOP + PLOT_HEIGHT - top,
                colour =
                    colour(&engines.iter().map(|engine| engine.name.as_str()).collect::<Vec<_>>(), engine),
                label = escaped(cluster.label),
                name = escaped(&engines[engine].name),
                time = milliseconds(*time),
            );
        }
        let (x, y) = (left + bar * bars / 2.0 + 4.0, TOP + PLOT_HEIGHT + 14.0);
        let _ = writeln!(
            svg,
            "<text transform=\"translate({x:.1} {y:.1}) rotate(-40)\" text-anchor=\"end\"{weight}>{label}</text>",
            label = escaped(cluster.label),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn colour(engines: &[&str], position: usize) -> &'static str {
    let peers_before = engines[..position].iter().filter(|name| **name != TUNDRA).count();
    if engines[position] == TUNDRA { TUNDRA_COLOUR } else { PEER_COLOURS[peers_before % PEER_COLOURS.len()] }
}

fn legend(svg: &mut String, engines: &[&str]) {
    let mut x = LEFT;
    for (position, name) in engines.iter().enumerate() {
        let colour = colour(engines, position);
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.0}\" y=\"54\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
             <text x=\"{text:.0}\" y=\"63\">{name}</text>",
            text = x + 14.0,
            name = escaped(name),
        );
        x += 32.0 + 6.2 * name.len() as f64;
    }
}

fn grid(svg: &mut String, scale: &Scale, width: f64) {
    for power in scale.low..=scale.high {
        let y = TOP + PLOT_HEIGHT - scale.height(10f64.powi(power));
        let label =
            if power < 0 { format!("{}", 10f64.powi(power)) } else { format!("{:.0}", 10f64.powi(power)) };
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{right:.0}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#d1d9e0\"/>\
             <text x=\"{text:.0}\" y=\"{base:.1}\" text-anchor=\"end\" fill=\"#59636e\">{label}</text>",
            right = width - RIGHT,
            text = LEFT - 6.0,
            base = y + 4.0,
        );
    }
}

/// Powers of ten from one below the least time to one above the largest.
struct Scale {
    low: i32,
    high: i32,
}

impl Scale {
    fn over(times: impl Iterator<Item = f64>) -> Scale {
        let (mut low, mut high) = (f64::INFINITY, 0f64);
        for time in times.filter(|time| *time > 0.0) {
            low = low.min(time);
            high = high.max(time);
        }
        if high == 0.0 {
            return Scale { low: 0, high: 1 };
        }
        let low = (low * 0.8).log10().floor() as i32;
        Scale { low, high: (high.log10().ceil() as i32).max(low + 1) }
    }

    fn height(&self, time: f64) -> f64 {
        let part = (time.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        PLOT_HEIGHT * part.clamp(0.0, 1.0)
    }
}

/// Text as it may stand in XML.
pub(crate) fn escaped(text: &str) -> String {
    let entities = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;")];
    entities.iter().fold(text.to_string(), |text, (plain, entity)| text.replace(plain, entity))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    /// Every element that is opened is closed, in order, and attributes are quoted.
    fn assert_well_formed(xml: &str) {
        let mut open = Vec::new();
        let mut rest = xml;
        while let Some(start) = rest.find('<') {
            assert!(!rest[..start].contains('>'), "a stray > in: {}", &rest[..start]);
            let end = start + rest[start..].find('>').unwrap();
            let tag = &rest[start + 1..end];
            assert!(!tag.contains('<') && tag.matches('"').count().is_multiple_of(2), "{tag}");
            rest = &rest[end + 1..];
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "closed in another order");
            } else if !tag.ends_with('/') {
                open.push(tag.split_whitespace().next().unwrap());
            }
        }
        assert!(open.is_empty(), "left open: {open:?}");
        let entities = ["&amp;", "&lt;", "&gt;", "&quot;"];
        let bare = xml
            .match_indices('&')
            .find(|(at, _)| !entities.iter().any(|entity| xml[*at..].starts_with(entity)));
        assert_eq!(bare, None);
    }

    #[test]
    fn the_chart_is_well_formed_and_holds_every_bar() {
        let chart = chart(&sample());
        assert_well_formed(&chart);
        // Five times and three means; a mark of each engine in the legend, and the ground.
        assert_eq!(chart.matches("<rect ").count(), 5 + 3 + 3 + 1);
        assert!(
            chart.contains("TPC-H scale 1 &amp; more")
                && chart.contains("<title>q01, tundra: 10.0 ms</title>")
        );
    }

    #[test]
    fn a_chart_of_nothing_is_well_formed() {
        let mut report = sample();
        report.queries.clear();
        assert_well_formed(&chart(&report));
    }

    #[test]
    fn bars_grow_by_the_power() {
        let scale = Scale::over([2.0, 900.0].into_iter());
        assert_eq!((scale.low, scale.high), (0, 3));
        assert_eq!(scale.height(1.0), 0.0);
        assert!((scale.height(10.0) - PLOT_HEIGHT / 3.0).abs() < 1e-9);
        let scale = Scale::over([1.0].into_iter());
        assert!(scale.height(1.0) > 0.0, "the least time is seen");
    }
}
