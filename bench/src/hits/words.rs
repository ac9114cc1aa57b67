//! Invented words in several scripts.

use super::random::{below, mix, pair};

/// The script that a site writes its titles in and a user searches in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    Latin,
    Cyrillic,
    Greek,
    Georgian,
    Kana,
}

impl Script {
    /// A script by its share of the table's texts.
    pub(super) fn of(bits: u64) -> Script {
        match below(bits, 100) {
            0..58 => Script::Cyrillic,
            58..88 => Script::Latin,
            88..93 => Script::Greek,
            93..96 => Script::Georgian,
            _ => Script::Kana,
        }
    }

    fn syllables(self) -> &'static [&'static str; 32] {
        match self {
            Script::Latin => &LATIN,
            Script::Cyrillic => &CYRILLIC,
            Script::Greek => &GREEK,
            Script::Georgian => &GEORGIAN,
            Script::Kana => &KANA,
        }
    }
}

const LATIN: [&str; 32] = [
    "ka", "vel", "mo", "ri", "tun", "sa", "do", "bre", "li", "nor", "pa", "zu", "he", "gim", "ta", "lo",
    "fe", "ras", "vi", "ne", "kor", "mi", "su", "del", "ya", "po", "ber", "wi", "lan", "to", "que", "xi",
];
const CYRILLIC: [&str; 32] = [
    "ка", "вел", "мо", "ри", "тун", "са", "до", "бре", "ли", "нор", "па", "зу", "хе", "гим", "та", "ло",
    "фе", "рас", "ви", "не", "кор", "ми", "су", "дел", "я", "по", "бер", "жи", "лан", "то", "ще", "чу",
];
const GREEK: [&str; 32] = [
    "κα", "βελ", "μο", "ρι", "τυν", "σα", "δο", "βρε", "λι", "νορ", "πα", "ζου", "χε", "γιμ", "τα", "λο",
    "φε", "ρασ", "βι", "νε", "κορ", "μι", "σου", "δελ", "για", "πο", "βερ", "θι", "λαν", "το", "ψε", "ξι",
];
const GEORGIAN: [&str; 32] = [
    "კა",
    "ველ",
    "მო",
    "რი",
    "თუნ",
    "სა",
    "დო",
    "ბრე",
    "ლი",
    "ნორ",
    "პა",
    "ზუ",
    "ხე",
    "გიმ",
    "ტა",
    "ლო",
    "ფე",
    "რას",
    "ვი",
    "ნე",
    "კორ",
    "მი",
    "სუ",
    "დელ",
    "ია",
    "პო",
    "ბერ",
    "ჟი",
    "ლან",
    "ტო",
    "შე",
    "ჩუ",
];
const KANA: [&str; 32] = [
    "か", "べる", "も", "り", "つん", "さ", "ど", "ぶれ", "に", "のる", "ぱ", "ず", "へ", "ぎむ", "た", "ろ",
    "ふぇ", "らす", "び", "ね", "こる", "み", "す", "でる", "や", "ぽ", "べ", "じ", "らん", "と", "け", "し",
];

/// How many words a script has.
const VOCABULARY: u64 = 40_000;

/// Appends the word of that number: two to four syllables.
pub(super) fn push_word(out: &mut String, script: Script, number: u64) {
    let mut bits = mix(below(mix(number), VOCABULARY) + 1);
    for _ in 0..2 + bits % 3 {
        bits >>= 5;
        out.push_str(script.syllables()[(bits % 32) as usize]);
    }
}

/// Appends `count` words that `key` determines, common ones more often.
pub(super) fn push_words(out: &mut String, script: Script, key: u64, count: u64, between: char) {
    for place in 0..count {
        if place > 0 {
            out.push(between);
        }
        let bits = pair(key, place);
        // The product of two uniform numbers prefers small ones.
        push_word(out, script, below(bits.rotate_left(32), below(bits, VOCABULARY) + 1));
    }
}
