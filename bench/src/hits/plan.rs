//! Which rows belong to which site and day, and whose visits fill them.

use super::random::{Random, below, mix, pair};
use super::site::{SITES, Site};
use super::user::User;
use std::ops::Range;

/// 2013-07-01 as days since 1970-01-01: the first day of the table.
pub(super) const FIRST_DAY: i32 = 15_887;

/// The hits of each day of July 2013 out of the site's, not normalised: fewer at weekends.
const DAY_WEIGHTS: [u64; 31] = [
    104, 103, 101, 102, 97, 78, 80, 105, 104, 102, 101, 98, 77, 79, 106, 105, 103, 102, 96, 76, 81, 104, 104,
    101, 100, 97, 79, 80, 103, 105, 102,
];

/// The rows of the table, cut into sites in the order of their counters.
#[derive(Debug)]
pub(super) struct Plan {
    seed: u64,
    pub(super) rows: u64,
    sites: Vec<(Site, Range<u64>)>,
}

/// The rows of one site on one day.
#[derive(Debug)]
pub(super) struct Cell<'a> {
    pub(super) site: &'a Site,
    pub(super) day: i32,
    pub(super) rows: Range<u64>,
}

/// What one user does on one site and day: a number of hits in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit {
    pub(super) user: u64,
    pub(super) hits: u32,
}

impl Plan {
    pub(super) fn new(rows: u64, seed: u64) -> Plan {
        let sites: Vec<Site> = (0..SITES).map(Site::at).collect();
        let total: f64 = sites.iter().map(Site::weight).sum();
        let (mut weight, mut start) = (0.0, 0);
        let cut = |site: Site| {
            weight += site.weight();
            let end = ((weight / total * rows as f64) as u64).min(rows);
            (site, std::mem::replace(&mut start, end)..end)
        };
        let mut sites: Vec<_> = sites.into_iter().map(cut).collect();
        if let Some((_, last)) = sites.last_mut() {
            last.end = rows; // whatever the sum was rounded to
        }
        Plan { seed, rows, sites }
    }

    /// How many users there are to draw from.
    pub(super) fn users(&self) -> u64 {
        self.rows * 3 / 10 + 100
    }

    /// The cells that have some of these rows, in order.
    pub(super) fn cells(&self, rows: Range<u64>) -> impl Iterator<Item = Cell<'_>> {
        let seen = rows.clone();
        self.sites
            .iter()
            .filter(move |(_, own)| own.start < rows.end && rows.start < own.end)
            .flat_map(|(site, own)| self.days(site, own))
            .filter(move |cell| cell.rows.start < seen.end && seen.start < cell.rows.end)
    }

    fn days<'a>(&self, site: &'a Site, own: &Range<u64>) -> impl Iterator<Item = Cell<'a>> + use<'a> {
        // A site of few hits has them on days of its own.
        let total: u64 = DAY_WEIGHTS.iter().sum();
        let (start, count) = (own.start, own.end - own.start);
        let shift = site.draw(self.seed, total);
        let place = move |weight: u64| {
            start + ((u128::from(weight) * u128::from(count) + u128::from(shift)) / u128::from(total)) as u64
        };
        let mut before = 0;
        DAY_WEIGHTS.iter().zip(FIRST_DAY..).map(move |(weight, day)| {
            let first = place(before);
            before += weight;
            Cell { site, day, rows: first..place(before) }
        })
    }

    /// The random numbers of a cell (`part` 0) or of a user's visit in it.
    pub(super) fn random(&self, cell: &Cell<'_>, part: u64) -> Random {
        Random::new(pair(pair(self.seed, cell.site.rank << 8 | (cell.day - FIRST_DAY) as u64), part))
    }

    /// The `WatchID` of a row: no two rows share the number it is a half of.
    pub(super) fn watch(&self, row: u64) -> i64 {
        (mix(pair(self.seed, 1) ^ mix(row)) >> 1) as i64
    }

    /// The visits that fill a cell, in the order of their rows: a user once.
    pub(super) fn visits(&self, cell: &Cell<'_>) -> Vec<Visit> {
        let mut random = self.random(cell, 0);
        let (mut left, mut drawn) = ((cell.rows.end - cell.rows.start) as u32, Vec::new());
        while left > 0 {
            let user = self.draw_user(&mut random, cell.site);
            let hits = draw_hits(&mut random).min(left);
            left -= hits;
            drawn.push((User::order(user), Visit { user, hits }));
        }
        drawn.sort_by_key(|(order, visit)| (*order, visit.user));
        drawn.dedup_by(|(_, later), (_, first)| {
            let same = later.user == first.user;
            first.hits += if same { later.hits } else { 0 };
            same
        });
        drawn.into_iter().map(|(_, visit)| visit).collect()
    }

    /// A regular of any site, one of the site's own audience, or somebody.
    fn draw_user(&self, random: &mut Random, site: &Site) -> u64 {
        let users = self.users();
        match random.below(100) {
            0..25 => random.skewed(users / 64 + 1, 2),
            25..55 => {
                let own = random.below((self.rows as f64 * site.weight() / 20.0) as u64 + 4);
                below(pair(site.rank, own), users)
            }
            _ => random.below(users),
        }
    }
}

/// The length of a visit: mostly a few hits, three in the mean.
fn draw_hits(random: &mut Random) -> u32 {
    let most = if random.chance(12) { 150 } else { 10 };
    1 + random.skewed(most, 3) as u32
}
