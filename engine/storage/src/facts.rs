//! What segments prove of a column, and what the facts of parts prove of the whole.

/// What is proven of a column over pinned segments; answers may depend on it. False and `None` mean "not
/// proven".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnFacts {
    pub rows: u64,
    pub nulls: u64,
    /// Inclusive bounds of the unscaled integers of an integral column with at least one value.
    pub bounds: Option<(i128, i128)>,
    /// The sum of the unscaled integers of an integral column; 0 without values.
    pub sum: Option<i128>,
    /// No row was deleted: `nulls` is their number, and `bounds` are values that occur.
    pub exact: bool,
    /// No value occurs twice (nulls aside).
    pub unique: bool,
    /// Unique, without nulls, and every integer within `bounds` occurs.
    pub dense: bool,
    /// Rows ascend by the column, without nulls, from the first segment to the last.
    pub sorted: bool,
    /// Every segment holds the column as codes into a dictionary.
    pub dictionary: bool,
}

impl ColumnFacts {
    /// Nothing proven, not even that there are rows.
    pub const UNKNOWN: ColumnFacts = ColumnFacts {
        rows: 0,
        nulls: 0,
        bounds: None,
        sum: None,
        exact: false,
        unique: false,
        dense: false,
        sorted: false,
        dictionary: false,
    };

    /// What the facts of parts prove of all their rows, which follow each other in the order of the parts. Merging
    /// what was merged before proves no more than merging all at once.
    pub fn merge(parts: impl IntoIterator<Item = ColumnFacts>) -> ColumnFacts {
        let mut merged = ColumnFacts {
            rows: 0,
            nulls: 0,
            bounds: None,
            sum: None,
            exact: true,
            unique: true,
            dense: false,
            sorted: true,
            dictionary: true,
        };
        let mut ranges = Vec::new();
        let (mut sum, mut last) = (Some(Sum::default()), None);
        let (mut count, mut all_bounded) = (0, true);
        for part in parts {
            match (part.rows, part.exact) {
                (0, true) => continue,
                // Of this part nothing is known.
                (0, false) => return ColumnFacts::UNKNOWN,
                _ => {}
            }
            let rows = merged.rows.checked_add(part.rows).zip(merged.nulls.checked_add(part.nulls));
            let Some((rows, nulls)) = rows else { return ColumnFacts::UNKNOWN };
            (merged.rows, merged.nulls) = (rows, nulls);
            sum = sum.zip(part.sum).map(|(sum, more)| sum.plus(more));
            merged.exact &= part.exact;
            merged.unique &= part.unique;
            merged.dictionary &= part.dictionary;
            merged.sorted &=
                part.sorted && part.bounds.is_some_and(|(min, _)| last.is_none_or(|last| last <= min));
            last = part.bounds.map(|(_, max)| max);
            ranges.extend(part.bounds);
            // Where all rows are null, there are no values that bounds are lacking for.
            all_bounded &= part.bounds.is_some() || part.exact && part.nulls == part.rows;
            count += 1;
        }
        if count > 1 {
            // Ranges that do not overlap keep values of one part out of the others.
            ranges.sort_unstable();
            merged.unique &=
                all_bounded && !ranges.is_empty() && ranges.windows(2).all(|pair| pair[0].1 < pair[1].0);
        }
        merged.dictionary &= count > 0;
        merged.sum = sum.and_then(Sum::value);
        let outer = |a: (i128, i128), b: (i128, i128)| (a.0.min(b.0), a.1.max(b.1));
        merged.bounds = ranges.into_iter().reduce(outer).filter(|_| all_bounded);
        merged.dense = merged.unique
            && merged.nulls == 0
            && merged
                .bounds
                .is_some_and(|(min, max)| max.checked_sub(min) == Some(i128::from(merged.rows) - 1));
        merged
    }
}

/// A sum that may leave 128 bits and come back.
#[derive(Clone, Copy, Default)]
struct Sum {
    low: i128,
    /// How often `low` has wrapped, upwards less downwards.
    turns: i64,
}

impl Sum {
    fn plus(self, value: i128) -> Sum {
        let (low, wrapped) = self.low.overflowing_add(value);
        let turn = if value > 0 { 1 } else { -1 };
        Sum { low, turns: self.turns + if wrapped { turn } else { 0 } }
    }

    fn value(self) -> Option<i128> {
        (self.turns == 0).then_some(self.low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows of a segment: small integers or nulls, some deleted afterwards, and which claims it does not make.
    #[derive(Clone, Debug)]
    struct Part {
        values: Vec<(Option<i8>, bool)>,
        is_sorted: bool,
        forgets: u8,
    }

    impl Part {
        fn rows(&self) -> Vec<(Option<i128>, bool)> {
            let mut rows: Vec<_> =
                self.values.iter().map(|&(value, deleted)| (value.map(i128::from), deleted)).collect();
            if self.is_sorted {
                rows.sort_by_key(|row| row.0);
            }
            rows
        }

        fn visible(&self) -> Vec<Option<i128>> {
            self.rows().into_iter().filter(|(_, deleted)| !deleted).map(|(value, _)| value).collect()
        }

        /// As a segment tells them: `text` has no bounds.
        fn facts(&self, text: bool) -> ColumnFacts {
            let all: Vec<Option<i128>> = self.rows().into_iter().map(|(value, _)| value).collect();
            let visible = self.visible();
            let values: Vec<i128> = all.iter().flatten().copied().collect();
            let bounds = values.iter().min().copied().zip(values.iter().max().copied()).filter(|_| !text);
            let mut distinct = values.clone();
            distinct.sort_unstable();
            distinct.dedup();
            let (exact, nulls) = (all.len() == visible.len(), all.len() - values.len());
            let claims = |bit: u8| self.forgets >> bit & 1 == 0;
            ColumnFacts {
                rows: visible.len() as u64,
                nulls: nulls.min(visible.len()) as u64,
                bounds: bounds.filter(|_| claims(0)),
                sum: (exact && !text && claims(1)).then(|| values.iter().sum()),
                exact,
                unique: distinct.len() == values.len() && claims(2),
                dense: false,
                sorted: values.is_sorted() && nulls == 0 && claims(3),
                dictionary: claims(4),
            }
        }
    }

    fn part() -> impl Strategy<Value = Part> {
        let value = prop_oneof![8 => (-20..20_i8).prop_map(Some), 1 => Just(None)];
        let deleted = prop_oneof![12 => Just(false), 1 => Just(true)];
        let values = prop::collection::vec((value, deleted), 0..6);
        // Low parts first, so that some are in order and do not overlap.
        let forgets = prop_oneof![6 => Just(0_u8), 1 => any::<u8>()];
        (values, -3..4_i8, any::<bool>(), forgets).prop_map(|(mut values, shift, is_sorted, forgets)| {
            values.iter_mut().for_each(|(value, _)| *value = value.map(|value| value % 4 + 30 * shift));
            Part { values, is_sorted, forgets }
        })
    }

    fn parts() -> impl Strategy<Value = Vec<Part>> {
        (prop::collection::vec(part(), 0..7), any::<bool>()).prop_map(|(mut parts, in_order)| {
            if in_order {
                parts.sort_by_key(|part| part.values.iter().find_map(|(value, _)| *value));
            }
            parts
        })
    }

    /// Facts of parts that have rows, as tables merge them.
    fn merged(parts: &[Part], text: bool) -> ColumnFacts {
        let held = parts.iter().filter(|part| !part.visible().is_empty());
        ColumnFacts::merge(held.map(|part| part.facts(text)))
    }

    /// `weaker` claims nothing that `facts` does not.
    fn assert_claims_no_more(weaker: ColumnFacts, facts: ColumnFacts) {
        let implies = |a: bool, b: bool| !a || b;
        assert_eq!((weaker.rows, weaker.nulls), (facts.rows, facts.nulls));
        assert!(weaker.bounds.is_none() || weaker.bounds == facts.bounds);
        assert!(weaker.sum.is_none() || weaker.sum == facts.sum);
        assert!(implies(weaker.exact, facts.exact));
        assert!(implies(weaker.unique, facts.unique));
        assert!(implies(weaker.dense, facts.dense));
        assert!(implies(weaker.sorted, facts.sorted));
        assert!(implies(weaker.dictionary, facts.dictionary));
    }

    /// What is claimed holds for rows.
    fn assert_true(facts: ColumnFacts, rows: &[Option<i128>]) {
        let values: Vec<i128> = rows.iter().flatten().copied().collect();
        let nulls = (rows.len() - values.len()) as u64;
        assert_eq!(facts.rows, rows.len() as u64);
        assert!(nulls <= facts.nulls && (!facts.exact || nulls == facts.nulls));
        if let Some((min, max)) = facts.bounds {
            assert!(values.iter().all(|value| (min..=max).contains(value)));
            assert!(!facts.exact || values.contains(&min) && values.contains(&max));
        }
        assert!(facts.sum.is_none_or(|sum| sum == values.iter().sum()));
        let mut distinct = values.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(!facts.unique || distinct.len() == values.len());
        assert!(!facts.sorted || values.is_sorted() && nulls == 0);
        if facts.dense {
            let (min, max) = facts.bounds.unwrap();
            assert!(facts.unique && nulls == 0 && (min..=max).eq(distinct.iter().copied()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn merged_facts_are_true_and_merging_again_adds_none(parts in parts(), cuts in any::<u16>(), text: bool) {
            let rows: Vec<Option<i128>> = parts.iter().flat_map(Part::visible).collect();
            let at_once = merged(&parts, text);
            assert_true(at_once, &rows);
            let mut groups: Vec<Vec<Part>> = vec![vec![]];
            for (index, part) in parts.into_iter().enumerate() {
                if cuts >> index & 1 == 1 {
                    groups.push(vec![]);
                }
                groups.last_mut().unwrap().push(part);
            }
            let groups: Vec<ColumnFacts> = groups.iter().map(|group| merged(group, text)).collect();
            let again = ColumnFacts::merge(groups.iter().copied());
            assert_true(again, &rows);
            assert_claims_no_more(again, at_once);
            let (few, rest) = groups.split_at(groups.len() / 2);
            let halves = [few, rest].map(|half| ColumnFacts::merge(half.iter().copied()));
            assert_claims_no_more(ColumnFacts::merge(halves), again);
        }
    }

    fn of(values: &[i128]) -> ColumnFacts {
        let values = values.iter().map(|&value| (Some(value as i8), false)).collect();
        Part { values, is_sorted: false, forgets: 0 }.facts(false)
    }

    #[test]
    fn what_ranges_prove() {
        let merged = ColumnFacts::merge([of(&[1, 2]), of(&[3]), of(&[4, 5])]);
        assert!(merged.unique && merged.dense && merged.sorted && merged.exact && merged.dictionary);
        assert_eq!((merged.bounds, merged.sum, merged.rows), (Some((1, 5)), Some(15), 5));
        let touching = ColumnFacts::merge([of(&[1, 2]), of(&[2, 3])]);
        assert!(!touching.unique && touching.sorted);
        let backwards = ColumnFacts::merge([of(&[3, 4]), of(&[1, 2])]);
        assert!(backwards.dense && !backwards.sorted);
    }

    #[test]
    fn parts_without_rows_change_nothing() {
        let none = ColumnFacts::merge([]);
        assert_eq!((none.rows, none.sum, none.exact), (0, Some(0), true));
        let one = of(&[7]);
        let merged = ColumnFacts::merge([none, one, none]);
        assert_eq!(merged, ColumnFacts { dense: true, ..one });
    }

    #[test]
    fn what_is_unknown_stays_unknown() {
        let merged = ColumnFacts::merge([of(&[1]), ColumnFacts::UNKNOWN]);
        assert_eq!(merged, ColumnFacts::UNKNOWN);
        assert_eq!(ColumnFacts::merge([merged, of(&[2])]), ColumnFacts::UNKNOWN);
        let endless = ColumnFacts { rows: u64::MAX, ..of(&[1]) };
        assert_eq!(ColumnFacts::merge([endless, of(&[2])]), ColumnFacts::UNKNOWN);
    }

    #[test]
    fn values_without_bounds_are_not_apart_from_others() {
        let unbounded = ColumnFacts { bounds: None, ..of(&[1, 2]) };
        let merged = ColumnFacts::merge([unbounded, of(&[5])]);
        assert_eq!((merged.bounds, merged.unique, merged.sorted), (None, false, false));
        assert_eq!(merged.sum, Some(8));
        let nulls = ColumnFacts { nulls: 2, sum: Some(0), ..unbounded };
        let merged = ColumnFacts::merge([nulls, of(&[5])]);
        assert_eq!((merged.bounds, merged.unique, merged.sorted), (Some((5, 5)), true, false));
    }

    #[test]
    fn sums_may_leave_their_range_and_come_back() {
        let with = |sum| ColumnFacts { sum: Some(sum), ..of(&[1]) };
        let sum = |sums: &[i128]| ColumnFacts::merge(sums.iter().map(|&sum| with(sum))).sum;
        assert_eq!(sum(&[i128::MAX, 5, -6]), Some(i128::MAX - 1));
        assert_eq!(sum(&[i128::MIN, -5, i128::MIN, 5]), None);
        assert_eq!(sum(&[i128::MIN, i128::MIN, i128::MAX, i128::MAX, 2]), Some(0));
    }
}
