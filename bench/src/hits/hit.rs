//! A hit: one row, with everything that several of its columns follow from.

use super::plan::{Cell, Plan, Visit};
use super::random::{Random, below, hash_text, mix, pair};
use super::site::{Page, SITES, Site};
use super::user::User;
use super::words::{Script, push_words};
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

const DAY_SECONDS: i64 = 86_400;

/// One row.
#[derive(Clone, Debug)]
pub(super) struct Hit<'a> {
    pub(super) site: &'a Site,
    pub(super) day: i32,
    /// Seconds since 1970-01-01.
    pub(super) time: i64,
    pub(super) user: Arc<User>,
    pub(super) url: String,
    pub(super) title: String,
    pub(super) referer: String,
    /// The key of what stands behind the referer, 0 without one.
    pub(super) referer_key: u64,
    pub(super) source: Source,
    pub(super) search_engine: i16,
    pub(super) phrase: String,
    pub(super) advertisement: i16,
    pub(super) refresh: bool,
    /// How many pages the visit had before.
    pub(super) depth: i16,
    pub(super) watch: i64,
    /// The random bits of this hit.
    noise: u64,
}

/// Where a hit came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The same site.
    Inside,
    /// An address typed or kept.
    Direct,
    Link,
    Search,
    Advertisement,
    /// A social network.
    Network,
}

impl Hit<'_> {
    /// A number below `n` that belongs to this hit alone.
    pub(super) fn draw(&self, salt: u64, n: u64) -> u64 {
        below(pair(self.noise, salt), n)
    }

    /// As [`Hit::draw`], small numbers more often.
    pub(super) fn skewed(&self, salt: u64, n: u64) -> u64 {
        self.draw(salt ^ (1 << 32), self.draw(salt, n) + 1)
    }

    pub(super) fn chance(&self, salt: u64, per_thousand: u64) -> bool {
        self.draw(salt, 1_000) < per_thousand
    }
}

/// What a visit came through.
struct Entry {
    source: Source,
    referer: String,
    key: u64,
    search_engine: i16,
    phrase: String,
    advertisement: i16,
}

/// Makes the hits of a visit, the first of them at row `first`, and hands those in `wanted` to `take`.
pub(super) fn visit_hits<'a>(
    plan: &Plan,
    cell: &Cell<'a>,
    visit: Visit,
    first: u64,
    wanted: &Range<u64>,
    mut take: impl FnMut(Hit<'a>),
) {
    let mut random = plan.random(cell, visit.user + 1);
    let (site, user) = (cell.site, Arc::new(User::new(visit.user, plan.users())));
    let entry = enter(&mut random, plan, &user);
    let pages = site_pages(plan, site);
    // The mean of two uniform moments: more at noon than at night.
    let noon = (random.below(DAY_SECONDS as u64) + random.below(DAY_SECONDS as u64)) as i64 / 2;
    let (mut second, mut page) = (noon, Page::Front);
    for (depth, row) in (0..visit.hits).zip(first..) {
        let before = page;
        let refresh = depth > 0 && random.chance(110);
        if !refresh {
            page = draw_page(&mut random, pages);
        }
        if depth > 0 {
            // Seconds, sometimes minutes, so that the rest fits into the day.
            let share = (DAY_SECONDS - second).max(0) as u64 / u64::from(visit.hits - depth);
            let usual = if random.chance(150) { 1_500 } else { 120 };
            second += 1 + random.skewed(share.min(usual), 2) as i64;
        }
        let noise = random.bits();
        if !wanted.contains(&row) {
            continue;
        }
        let entered = depth == 0 || (refresh && depth < 3);
        let (url, title) = (site.url(page), site.title(page));
        let (source, referer, referer_key) = match entered {
            true => (entry.source, entry.referer.clone(), entry.key),
            false if below(noise, 100) < 4 => (Source::Direct, String::new(), 0),
            false => (Source::Inside, site.url(before), pair(cell.site.rank, 0)),
        };
        let searched = source == Source::Search;
        take(Hit {
            site,
            day: cell.day,
            time: i64::from(cell.day) * DAY_SECONDS + second.min(DAY_SECONDS - 1),
            user: Arc::clone(&user),
            url,
            title,
            referer,
            referer_key,
            source,
            search_engine: if searched { entry.search_engine } else { 0 },
            phrase: if searched { entry.phrase.clone() } else { String::new() },
            advertisement: if source == Source::Advertisement { entry.advertisement } else { 0 },
            refresh,
            depth: depth.min(1_000) as i16,
            watch: plan.watch(row),
            noise,
        });
    }
}

/// How many numbered pages a site has: more for more hits, though fewer a hit.
fn site_pages(plan: &Plan, site: &Site) -> u64 {
    let hits = plan.rows as f64 * site.weight() / 5.0;
    10 + (hits * 2.4 / (6.0 + f64::from((hits as u64 + 1).ilog2()))) as u64
}

fn draw_page(random: &mut Random, pages: u64) -> Page {
    match random.below(10_000) {
        0..1_500 => Page::Front,
        1_500..2_300 => Page::Token(random.bits() >> 4),
        2_300..2_306 => Page::Promoted(random.bits() >> 4),
        _ => Page::Numbered(1 + random.skewed(pages, 3)),
    }
}

/// The search engines, by how many visits they send.
const ENGINES: [(i16, &str); 12] = [
    (2, "poisk"),
    (3, "finda"),
    (13, "sova"),
    (1, "ishi"),
    (21, "najdi"),
    (17, "velo"),
    (4, "orbis"),
    (30, "kluch"),
    (49, "lupa"),
    (37, "mapla"),
    (58, "zond"),
    (90, "raido"),
];
const NETWORKS: [&str; 5] = ["druzya.test", "palube.test", "kruzhok.test", "mirada.test", "foruma.test"];

fn enter(random: &mut Random, plan: &Plan, user: &User) -> Entry {
    let mut entry = Entry {
        source: Source::Direct,
        referer: String::new(),
        key: 0,
        search_engine: 0,
        phrase: String::new(),
        advertisement: 0,
    };
    match random.below(1_000) {
        0..345 => {
            let place = random.skewed(ENGINES.len() as u64, 3) as usize;
            let (engine, name) = ENGINES[place];
            // A third of the phrases nobody else searches for.
            let key = if random.chance(330) { random.bits() } else { random.skewed(plan.rows / 14 + 60, 2) };
            let script = if random.chance(800) { user.script } else { Script::Latin };
            push_words(&mut entry.phrase, script, mix(key), 1 + mix(key) % 5, ' ');
            let hash = hash_text(&entry.phrase) as u64;
            let _ = write!(
                entry.referer,
                "http://{name}.test/{}?text={hash:016x}&lr={}",
                ["search", "find", "yq"][place % 3],
                user.region
            );
            if random.chance(150) {
                let _ = write!(entry.referer, "&r={:08x}", random.bits() >> 32);
            }
            entry.source = Source::Search;
            entry.search_engine = engine;
            entry.key = pair(3, place as u64);
        }
        345..600 => {
            let other = Site::at(random.skewed(SITES, 2));
            let page = draw_page(random, 40 + plan.rows / 50_000);
            entry.referer = other.url(page);
            entry.source = Source::Link;
            entry.key = pair(other.rank, 0);
        }
        600..620 => {
            entry.advertisement = [2, 27, 13, 45, 44, 3, 62, 52, 50, 28, 53, 25, 61, 21, 42, 16, 7, 40]
                [random.skewed(18, 4) as usize];
            let _ = write!(entry.referer, "http://an.reklama.test/count/{:012x}", random.bits() >> 16);
            entry.source = Source::Advertisement;
            entry.key = pair(5, 0);
        }
        620..675 => {
            let network = NETWORKS[random.skewed(5, 2) as usize];
            let _ = write!(entry.referer, "http://{network}/away?to={:x}", random.skewed(1 << 24, 3));
            entry.source = Source::Network;
            entry.key = pair(6, 0);
        }
        _ => {}
    }
    entry
}
