//! The 105 columns: names, types, and how each follows from a hit.

use super::hit::{Hit, Source};
use super::random::{below, hash_text, mix};
use super::words::{Script, push_words};
use arrow::array::{
    ArrayRef, Date32Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

struct Column {
    name: &'static str,
    formula: Formula,
}

enum Formula {
    Short(fn(&Hit) -> i16),
    Int(fn(&Hit) -> i32),
    Long(fn(&Hit) -> i64),
    /// Days since 1970-01-01.
    Day(fn(&Hit) -> i32),
    /// Seconds since then.
    Moment(fn(&Hit) -> i64),
    Text(for<'a> fn(&'a Hit) -> Cow<'a, str>),
}

const fn short(name: &'static str, formula: fn(&Hit) -> i16) -> Column {
    Column { name, formula: Formula::Short(formula) }
}

const fn int(name: &'static str, formula: fn(&Hit) -> i32) -> Column {
    Column { name, formula: Formula::Int(formula) }
}

const fn long(name: &'static str, formula: fn(&Hit) -> i64) -> Column {
    Column { name, formula: Formula::Long(formula) }
}

const fn moment(name: &'static str, formula: fn(&Hit) -> i64) -> Column {
    Column { name, formula: Formula::Moment(formula) }
}

const fn text(name: &'static str, formula: for<'a> fn(&'a Hit) -> Cow<'a, str>) -> Column {
    Column { name, formula: Formula::Text(formula) }
}

const EMPTY: Cow<'static, str> = Cow::Borrowed("");

static COLUMNS: [Column; 105] = [
    long("WatchID", |hit| hit.watch),
    short("JavaEnable", |hit| (hit.user.draw(10, 100) < 74).into()),
    text("Title", |hit| hit.title.as_str().into()),
    short("GoodEvent", |_| 1),
    moment("EventTime", |hit| hit.time),
    Column { name: "EventDate", formula: Formula::Day(|hit| hit.day) },
    int("CounterID", |hit| hit.site.counter),
    int("ClientIP", |hit| hit.user.network_address),
    int("RegionID", |hit| hit.user.region),
    long("UserID", |hit| hit.user.id),
    short(
        "CounterClass",
        |hit| if hit.site.draw(10, 100) < 30 { -1 } else { (hit.site.draw(11, 5) == 0).into() },
    ),
    short("OS", |hit| {
        if hit.user.telephone {
            60 + hit.user.skewed(11, 20) as i16
        } else {
            2 + hit.user.skewed(12, 50) as i16
        }
    }),
    short("UserAgent", |hit| 2 + hit.user.skewed(13, 80) as i16),
    text("URL", |hit| hit.url.as_str().into()),
    text("Referer", |hit| hit.referer.as_str().into()),
    short("IsRefresh", |hit| hit.refresh.into()),
    short("RefererCategoryID", |hit| subject(hit.referer_key) as i16),
    int("RefererRegionID", |hit| place(hit.referer_key)),
    short("URLCategoryID", |hit| subject(hit.site.key) as i16),
    int("URLRegionID", |hit| place(hit.site.key)),
    short("ResolutionWidth", |hit| hit.user.screen.0),
    short("ResolutionHeight", |hit| hit.user.screen.1),
    short("ResolutionDepth", |hit| [37, 24, 32, 16][hit.user.skewed(14, 4) as usize]),
    short("FlashMajor", |hit| flash(hit).0),
    short("FlashMinor", |hit| flash(hit).1),
    text("FlashMinor2", |hit| match flash(hit) {
        (0, _) => EMPTY,
        (_, minor) => format!("{}.{}", 180 + 22 * minor, hit.user.draw(15, 9) * 10).into(),
    }),
    short("NetMajor", |hit| {
        if hit.user.draw(16, 100) < 12 { [2, 3, 4, 1][hit.user.skewed(17, 4) as usize] } else { 0 }
    }),
    short("NetMinor", |hit| (hit.user.draw(16, 100) < 4).into()),
    short("UserAgentMajor", |hit| {
        [27, 21, 10, 12, 9, 8, 16, 26, 5, 28, 17, 11][hit.user.skewed(18, 12) as usize]
    }),
    text("UserAgentMinor", |hit| {
        ["0", "D", "0", "1", "5", "bq", "D7", "oi", "C9"][hit.user.skewed(19, 9) as usize].into()
    }),
    short("CookieEnable", |hit| (hit.user.draw(20, 1_000) < 993).into()),
    short("JavascriptEnable", |hit| (hit.user.draw(21, 1_000) < 997).into()),
    short("IsMobile", |hit| hit.user.telephone.into()),
    short("MobilePhone", |hit| if hit.user.telephone { 1 + hit.user.skewed(22, 60) as i16 } else { 0 }),
    text("MobilePhoneModel", |hit| hit.user.model.as_str().into()),
    text(
        "Params",
        |hit| if hit.chance(23, 12) { format!("param{}", hit.skewed(24, 300)).into() } else { EMPTY },
    ),
    int("IPNetworkID", |hit| below(mix(hit.user.network_address as u64 >> 8), 4_100_000) as i32),
    short("TraficSourceID", |hit| match hit.source {
        Source::Inside => -1,
        Source::Direct => 0,
        Source::Link => 1,
        Source::Search => 2,
        Source::Advertisement => 3,
        Source::Network => 8,
    }),
    short("SearchEngineID", |hit| hit.search_engine),
    text("SearchPhrase", |hit| hit.phrase.as_str().into()),
    short("AdvEngineID", |hit| hit.advertisement),
    short("IsArtifical", |hit| hit.chance(25, 8).into()),
    short("WindowClientWidth", |hit| (hit.user.screen.0 - window_border(hit)).max(0)),
    short("WindowClientHeight", |hit| (hit.user.screen.1 - 40 - 8 * hit.user.skewed(27, 24) as i16).max(0)),
    short("ClientTimeZone", |hit| {
        [240, 120, 180, 360, 300, 420, 60, 0, 480, -1][hit.user.skewed(28, 10) as usize]
    }),
    moment("ClientEventTime", |hit| hit.time + clock_error(hit)),
    short("SilverlightVersion1", |hit| if silverlight(hit) { 5 } else { 0 }),
    short("SilverlightVersion2", |hit| (silverlight(hit) && hit.user.draw(30, 100) < 90).into()),
    int("SilverlightVersion3", |hit| {
        if silverlight(hit) { [20_125, 10_411, 50_428][hit.user.skewed(31, 3) as usize] } else { 0 }
    }),
    short("SilverlightVersion4", |_| 0),
    text("PageCharset", |hit| {
        ["utf-8", "windows-1251", "", "iso-8859-1", "koi8-r"][hit.site.skewed(12, 5) as usize].into()
    }),
    int("CodeVersion", |hit| [1_601, 1_598, 1_633, 501, 0, 1_580][hit.site.skewed(13, 6) as usize]),
    short("IsLink", |hit| hit.chance(32, 42).into()),
    short("IsDownload", |hit| hit.chance(33, 3).into()),
    short("IsNotBounce", |hit| (hit.depth == 0 && hit.chance(34, 120)).into()),
    long(
        "FUniqID",
        |hit| if hit.user.draw(35, 100) < 45 { (mix(hit.user.id as u64) >> 1) as i64 } else { 0 },
    ),
    text("OriginalURL", |hit| {
        if hit.chance(36, 35) { format!("{}#{}", hit.url, hit.skewed(37, 90)).into() } else { EMPTY }
    }),
    int("HID", |hit| hit.draw(38, 1 << 30) as i32),
    short("IsOldCounter", |_| 0),
    short("IsEvent", |_| 0),
    short("IsParameter", |_| 0),
    short("DontCountHits", |hit| hit.chance(39, 110).into()),
    short("WithHash", |hit| hit.chance(40, 20).into()),
    text("HitColor", |hit| ["5", "E", "F", "D", "g", "S"][hit.skewed(41, 6) as usize].into()),
    moment("LocalEventTime", |hit| hit.time + clock_error(hit) - 3_600 * hit.user.skewed(28, 10) as i64),
    short("Age", |hit| if known(hit) { [31, 22, 50, 26, 16][hit.user.skewed(42, 5) as usize] } else { 0 }),
    short("Sex", |hit| if known(hit) { 1 + hit.user.draw(43, 2) as i16 } else { 0 }),
    short("Income", |hit| if known(hit) { hit.user.draw(44, 4) as i16 } else { 0 }),
    short("Interests", |hit| if known(hit) { hit.user.draw(45, 1 << 14) as i16 } else { 0 }),
    short("Robotness", |hit| if hit.user.draw(46, 100) < 3 { 1 + hit.user.skewed(47, 60) as i16 } else { 0 }),
    int("RemoteIP", |hit| {
        if hit.user.draw(48, 100) < 90 { hit.user.network_address } else { mix(hit.user.id as u64) as i32 }
    }),
    int("WindowName", |hit| if hit.chance(49, 420) { hit.draw(50, 1 << 31) as i32 } else { -1 }),
    int("OpenerName", |hit| if hit.chance(51, 90) { hit.draw(52, 1 << 31) as i32 } else { -1 }),
    short("HistoryLength", |hit| 1 + hit.depth.min(90) + hit.user.skewed(53, 30) as i16),
    text("BrowserLanguage", |hit| ["S0", "nA", "cy", "4X", "h1"][hit.user.skewed(54, 5) as usize].into()),
    text("BrowserCountry", |hit| {
        ["nA", "h1", "q3", "W\u{1}", "zz", "8p"][hit.user.skewed(55, 6) as usize].into()
    }),
    text("SocialNetwork", |hit| {
        if hit.chance(56, 1) { ["velo", "mirada"][hit.draw(57, 2) as usize].into() } else { EMPTY }
    }),
    text("SocialAction", |hit| if hit.chance(56, 1) { "share".into() } else { EMPTY }),
    short("HTTPError", |hit| if hit.chance(58, 2) { 404 } else { 0 }),
    int("SendTiming", |hit| timing(hit, 59, 9_000)),
    int("DNSTiming", |hit| timing(hit, 60, 400)),
    int("ConnectTiming", |hit| timing(hit, 61, 600)),
    int("ResponseStartTiming", |hit| timing(hit, 62, 3_000)),
    int("ResponseEndTiming", |hit| timing(hit, 63, 2_000)),
    int("FetchTiming", |hit| timing(hit, 64, 5_000)),
    short("SocialSourceNetworkID", |hit| {
        if hit.source == Source::Network { 1 + hit.skewed(65, 5) as i16 } else { 0 }
    }),
    text("SocialSourcePage", |hit| {
        if hit.source == Source::Network && hit.chance(66, 300) {
            format!("/wall{}", hit.draw(67, 1 << 20)).into()
        } else {
            EMPTY
        }
    }),
    long("ParamPrice", |hit| if hit.chance(68, 4) { 100 * hit.skewed(69, 90_000) as i64 } else { 0 }),
    text("ParamOrderID", |hit| {
        if hit.chance(68, 1) { format!("{:08}", hit.draw(70, 100_000_000)).into() } else { EMPTY }
    }),
    text("ParamCurrency", |hit| if hit.chance(68, 4) { "RUB".into() } else { "NH\u{1c}".into() }),
    short("ParamCurrencyID", |hit| if hit.chance(68, 4) { 1 } else { 0 }),
    text("OpenstatServiceName", |hit| tagged(hit, 71, "direkt.test")),
    text("OpenstatCampaignID", |hit| tagged(hit, 71, "campaign")),
    text("OpenstatAdID", |hit| tagged(hit, 71, "ad")),
    text("OpenstatSourceID", |hit| tagged(hit, 71, "source")),
    text("UTMSource", |hit| tagged(hit, 72, "ya-reklama")),
    text("UTMMedium", |hit| tagged(hit, 72, "cpc")),
    text("UTMCampaign", |hit| match tagged(hit, 72, "c") {
        Cow::Borrowed(_) => EMPTY,
        tag => {
            let mut name = String::new();
            push_words(&mut name, Script::Latin, hit.site.draw(14, 1 << 40) + hit.skewed(73, 12), 2, '_');
            let _ = write!(name, "-{tag}");
            name.into()
        }
    }),
    text("UTMContent", |hit| tagged(hit, 72, "content")),
    text("UTMTerm", |hit| tagged(hit, 72, "term")),
    text(
        "FromTag",
        |hit| if hit.chance(74, 9) { format!("tag{}", hit.skewed(75, 400)).into() } else { EMPTY },
    ),
    short("HasGCLID", |hit| hit.chance(76, 7).into()),
    long("RefererHash", |hit| hash_text(&hit.referer)),
    long("URLHash", |hit| hash_text(&hit.url)),
    int(
        "CLID",
        |hit| if hit.user.draw(77, 100) < 2 { 1_000_000 + hit.user.skewed(78, 9_000) as i32 } else { 0 },
    ),
];

/// The category of what a key stands for, 0 for half of them.
fn subject(key: u64) -> u64 {
    if key == 0 || key % 100 < 45 { 0 } else { below(mix(key), below(mix(key ^ 1), 15_000)) }
}

/// The region of what a key stands for, 0 for some.
fn place(key: u64) -> i32 {
    if key == 0 || key % 10 < 3 { 0 } else { below(mix(key ^ 2), below(mix(key ^ 3), 5_000)) as i32 }
}

fn flash(hit: &Hit) -> (i16, i16) {
    if hit.user.telephone || hit.user.draw(79, 100) < 12 {
        return (0, 0);
    }
    let (major, minor) = (hit.user.skewed(80, 6), hit.user.skewed(81, 9));
    ([11, 10, 9, 8, 7, 6][major as usize], minor as i16)
}

fn silverlight(hit: &Hit) -> bool {
    hit.user.draw(29, 100) < 28
}

fn known(hit: &Hit) -> bool {
    hit.user.draw(82, 100) < 48
}

fn window_border(hit: &Hit) -> i16 {
    [0, 17, 16, 8, 120, 21, 4, 320][hit.user.skewed(26, 8) as usize]
}

/// How many seconds the user's clock is off.
fn clock_error(hit: &Hit) -> i64 {
    hit.user.skewed(83, 600) as i64 * if hit.user.draw(84, 2) == 0 { 1 } else { -1 }
}

/// Milliseconds, measured for a fifth of the hits.
fn timing(hit: &Hit, salt: u64, most: u64) -> i32 {
    if hit.chance(85, 200) { hit.skewed(salt, most) as i32 } else { 0 }
}

/// A tag of a campaign, on hits that have one.
fn tagged(hit: &Hit, salt: u64, name: &str) -> Cow<'static, str> {
    if hit.chance(salt, 11) {
        format!("{name}{}", hit.site.draw(salt, 30) + hit.skewed(salt ^ 1, 6)).into()
    } else {
        EMPTY
    }
}

impl Formula {
    fn data_type(&self) -> DataType {
        match self {
            Formula::Short(_) => DataType::Int16,
            Formula::Int(_) => DataType::Int32,
            Formula::Long(_) => DataType::Int64,
            Formula::Day(_) => DataType::Date32,
            Formula::Moment(_) => DataType::Timestamp(TimeUnit::Microsecond, None),
            Formula::Text(_) => DataType::Utf8,
        }
    }

    fn array(&self, hits: &[Hit]) -> ArrayRef {
        match self {
            Formula::Short(value) => Arc::new(Int16Array::from_iter_values(hits.iter().map(value))),
            Formula::Int(value) => Arc::new(Int32Array::from_iter_values(hits.iter().map(value))),
            Formula::Long(value) => Arc::new(Int64Array::from_iter_values(hits.iter().map(value))),
            Formula::Day(value) => Arc::new(Date32Array::from_iter_values(hits.iter().map(value))),
            Formula::Moment(value) => {
                let micros = hits.iter().map(|hit| value(hit) * 1_000_000);
                Arc::new(TimestampMicrosecondArray::from_iter_values(micros))
            }
            Formula::Text(value) => {
                let mut texts = StringBuilder::new();
                hits.iter().for_each(|hit| texts.append_value(value(hit)));
                Arc::new(texts.finish())
            }
        }
    }
}

/// The columns as Arrow names them. None has nulls.
pub(super) fn schema() -> SchemaRef {
    let field = |column: &Column| Field::new(column.name, column.formula.data_type(), false);
    Arc::new(Schema::new(COLUMNS.iter().map(field).collect::<Vec<_>>()))
}

/// The hits as rows of [`schema`].
pub(super) fn batch(schema: &SchemaRef, hits: &[Hit]) -> Result<RecordBatch, ArrowError> {
    let arrays = COLUMNS.iter().map(|column| column.formula.array(hits)).collect();
    RecordBatch::try_new(Arc::clone(schema), arrays)
}
