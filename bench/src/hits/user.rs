//! Users: what their hits have in common. A user is the same for every seed.

use super::random::{below, mix, pair};
use super::words::{Script, push_word};
use std::fmt::Write;

/// Common screens, the most frequent first.
const SCREENS: [(i16, i16); 40] = [
    (1366, 768),
    (1920, 1080),
    (1280, 1024),
    (1280, 800),
    (1024, 768),
    (1440, 900),
    (1600, 900),
    (1680, 1050),
    (1280, 720),
    (1360, 768),
    (1920, 1200),
    (320, 480),
    (768, 1024),
    (1152, 864),
    (480, 800),
    (1024, 600),
    (320, 568),
    (1280, 768),
    (2560, 1440),
    (800, 600),
    (720, 1280),
    (360, 640),
    (540, 960),
    (1600, 1200),
    (240, 320),
    (800, 1280),
    (1280, 960),
    (1093, 614),
    (1344, 840),
    (1536, 864),
    (2560, 1600),
    (600, 1024),
    (1400, 1050),
    (1024, 819),
    (1638, 922),
    (2048, 1152),
    (640, 480),
    (1920, 1440),
    (1080, 1920),
    (0, 0),
];

/// How many models of telephones there are.
const MODELS: u64 = 165;

/// One user.
#[derive(Clone, Debug)]
pub(super) struct User {
    /// The `UserID`.
    pub(super) id: i64,
    pub(super) region: i32,
    pub(super) network_address: i32,
    pub(super) screen: (i16, i16),
    pub(super) script: Script,
    /// Whether this is a telephone, and its model (empty for unknown ones).
    pub(super) telephone: bool,
    pub(super) model: String,
    key: u64,
}

impl User {
    /// Where the user of a number stands among those of a site and day.
    pub(super) fn order(number: u64) -> u64 {
        mix(key(number) ^ 0x0d)
    }

    /// The user of a number out of `users`.
    pub(super) fn new(number: u64, users: u64) -> User {
        let key = key(number);
        let draw = |salt, n| below(pair(key, salt), n);
        let cube = |salt, n: u64| {
            (0..2).fold(draw(salt, n), |value, i| below(pair(key, salt ^ (i + 901)), value + 1))
        };
        let telephone = draw(1, 100) < 7;
        let screen = match cube(2, 40) as usize {
            _ if telephone => SCREENS[[11, 14, 16, 20, 21, 22, 24, 38][draw(3, 8) as usize]],
            _ if draw(8, 100) < 2 => (800 + draw(9, 1_400) as i16, 600 + draw(10, 800) as i16),
            place => SCREENS[place],
        };
        let model = if telephone && draw(4, 100) < 80 { model(cube(5, MODELS)) } else { String::new() };
        // Some users share an address.
        let address =
            mix(pair(0x1b, if draw(6, 100) < 45 { draw(7, users / 12 + 1) } else { number + (1 << 40) }));
        // Users behind one address are in one region.
        let region = below(mix(address), 9_000);
        let region = below(mix(address ^ 1), below(mix(address ^ 2), region + 1) + 1) as i32 + 2;
        User {
            id: (mix(key) >> 1) as i64,
            region,
            // Queries subtract a little from it.
            network_address: (address as i32).max(i32::MIN + 16),
            screen,
            script: Script::of(mix(key ^ 3)),
            telephone,
            model,
            key,
        }
    }

    /// A number below `n` that is the same for all hits of the user.
    pub(super) fn draw(&self, salt: u64, n: u64) -> u64 {
        below(pair(self.key, salt.wrapping_add(1_000)), n)
    }

    /// As [`User::draw`], small numbers more often.
    pub(super) fn skewed(&self, salt: u64, n: u64) -> u64 {
        self.draw(salt ^ (1 << 32), self.draw(salt, n) + 1)
    }
}

fn key(number: u64) -> u64 {
    pair(0x05e7, number)
}

fn model(number: u64) -> String {
    let mut model = String::new();
    push_word(&mut model, Script::Latin, number % 19);
    let _ = write!(model, " {}{}", ["", "S", "X", "Mini "][(number % 4) as usize], 1 + number);
    model
}
