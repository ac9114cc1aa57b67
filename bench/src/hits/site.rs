//! Sites: what a counter counts. Names, pages and their texts are the same for every seed, so that a query
//! may name one.

use super::random::{below, mix, pair};
use super::words::{Script, push_word, push_words};
use std::fmt::Write;

/// How many sites there are.
pub(super) const SITES: u64 = 6_506;

/// One site.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// 0 for the site with the most hits.
    pub(super) rank: u64,
    /// Its `CounterID`.
    pub(super) counter: i32,
    pub(super) host: String,
    pub(super) script: Script,
    /// Its identity in random draws.
    pub(super) key: u64,
}

/// One page of a site, or one of the visits that get an address of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Front,
    /// By number, from 1: small ones are visited most.
    Numbered(u64),
    /// A page whose address carries a token, as results of a search or a session do.
    Token(u64),
    /// A page reached through an advertisement of the engine that queries look for.
    Promoted(u64),
}

impl Site {
    /// The site at a place, below [`SITES`], in the order of counters.
    pub(super) fn at(place: u64) -> Site {
        // One to one, since 6,506 = 2 · 3,253 and 2,531 have no common divisor.
        Site::ranked((place * 2_531 + 1_777) % SITES, place)
    }

    fn ranked(rank: u64, place: u64) -> Site {
        let key = pair(0x51_7e, rank);
        let mut host = String::from(if key.is_multiple_of(3) { "" } else { "www." });
        push_word(&mut host, Script::Latin, key);
        // The number of the rank keeps hosts apart.
        let _ = write!(host, "{}.example", if rank < 40 { String::new() } else { format!("-{rank}") });
        let counter = (place * 37 + 40 + below(mix(key), 37)) as i32;
        Site { rank, counter, host, script: Script::of(mix(key ^ 7)), key }
    }

    /// The share of all hits, not normalised: Zipf's law, steeper in the tail.
    pub(super) fn weight(&self) -> f64 {
        let rank = self.rank as f64;
        1.0 / ((rank + 3.0) * (1.0 + rank / 400.0))
    }

    /// A number below `n` that is the same for all hits of the site.
    pub(super) fn draw(&self, salt: u64, n: u64) -> u64 {
        below(pair(self.key, salt), n)
    }

    /// As [`Site::draw`], small numbers more often.
    pub(super) fn skewed(&self, salt: u64, n: u64) -> u64 {
        self.draw(salt ^ (1 << 32), self.draw(salt, n) + 1)
    }

    fn page_key(&self, page: Page) -> u64 {
        match page {
            Page::Front => pair(self.key, 0),
            Page::Numbered(number) => pair(self.key, number),
            Page::Token(token) => pair(self.key, token ^ (1 << 63)),
            Page::Promoted(token) => pair(self.key, token ^ (1 << 62)),
        }
    }

    /// The address of a page.
    pub(super) fn url(&self, page: Page) -> String {
        let key = self.page_key(page);
        let mut url = String::with_capacity(112);
        url.push_str(if self.draw(1, 30) == 0 { "https://" } else { "http://" });
        if let Page::Promoted(_) = page
            && key.is_multiple_of(4)
        {
            url.push_str("cache.google.");
        }
        url.push_str(&self.host);
        url.push('/');
        if page == Page::Front {
            return url;
        }
        push_words(&mut url, Script::Latin, pair(self.key, 100 + key % 12), 1, '-');
        let _ = match self.draw(2, 4) {
            0 => write!(url, "/{}.html", key % 100_000_000),
            1 => {
                url.push_str("/index.php?section=");
                push_words(&mut url, Script::Latin, key % 500, 2, '_');
                write!(url, "&id={}", key % 10_000_000)
            }
            2 => {
                url.push('/');
                push_words(&mut url, Script::Latin, key % 300, 1, '-');
                url.push('/');
                push_words(&mut url, Script::Latin, key, 3, '-');
                write!(url, "-{}/", key % 1_000_000)
            }
            _ => {
                url.push('/');
                push_words(&mut url, Script::Latin, key % 200, 2, '-');
                write!(url, "/page{}/?sort={}", key % 1_000_000, key % 7)
            }
        };
        let mark = if url.contains('?') { '&' } else { '?' };
        let _ = match page {
            Page::Token(token) => write!(url, "{mark}s={:012x}", mix(token) >> 16),
            Page::Promoted(token) => write!(url, "{mark}from=google&click={:x}", mix(token) >> 40),
            Page::Front | Page::Numbered(_) => Ok(()),
        };
        url
    }

    /// The title of a page. Pages with a token share theirs.
    pub(super) fn title(&self, page: Page) -> String {
        let key = match page {
            Page::Token(token) => self.page_key(Page::Numbered(token % 5_000)),
            page => self.page_key(page),
        };
        let mut title = String::with_capacity(96);
        if below(mix(key), 100) < 6 {
            return title;
        }
        if page != Page::Front {
            push_words(&mut title, self.script, key, 2 + key % 5, ' ');
            title.push_str([" - ", " | ", " :: ", ", "][(self.key % 4) as usize]);
        }
        // One title in a thousand, and half of the promoted pages, name the engine.
        if below(key, 1_000) == 0 || matches!(page, Page::Promoted(token) if token % 2 == 0) {
            title.push_str("Google ");
        }
        push_words(&mut title, self.script, self.key, 2, ' ');
        title
    }
}
