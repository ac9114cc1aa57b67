//! Where strings start and end within the bytes of a block.

use super::Source;
use crate::error::{Result, damaged};
use columnar::{Buffer, Bytes};

/// Strings that share a 32-bit start.
const GROUP: usize = 256;

/// Starts of strings: 32 bits a group and, for every string and the end, 16 bits past the group's start, or
/// 32 where a group is too long.
#[derive(Debug)]
pub(super) struct Places {
    groups: Buffer<u32>,
    within: Within,
}

#[derive(Debug)]
enum Within {
    Narrow(Buffer<u16>),
    Wide(Buffer<u32>),
}

/// The buffer of places for starts that ascend (one more than strings), and whether it is wide.
pub(super) fn encode(starts: &[u32]) -> (Bytes, bool) {
    let groups: Vec<u32> = starts.iter().step_by(GROUP).copied().collect();
    let past = |row: usize| starts[row] - groups[row / GROUP];
    let wide = (0..starts.len()).any(|row| past(row) > u16::MAX.into());
    let mut bytes: Vec<u8> = groups.iter().flat_map(|start| start.to_le_bytes()).collect();
    for row in 0..starts.len() {
        match wide {
            true => bytes.extend(past(row).to_le_bytes()),
            false => bytes.extend((past(row) as u16).to_le_bytes()),
        }
    }
    (Bytes::from_vec(bytes), wide)
}

impl Places {
    /// Reads buffer 0 of a block whose strings lie within `limit` bytes.
    pub(super) fn open(source: &Source<'_>, wide: bool, limit: usize) -> Result<Places> {
        let count = source.rows() + 1;
        let places = Places::new(source.buffer(0)?, count, wide)
            .ok_or_else(|| damaged("places of strings do not fit their block"))?;
        let (mut last, mut sound) = (0, true);
        for row in 0..count {
            let start = places.start(row);
            sound &= last <= start;
            last = start;
        }
        match sound && last <= limit {
            true => Ok(places),
            false => Err(damaged("places of strings lie outside their bytes")),
        }
    }

    /// `count` places as [`encode`] gives them; `None` where the bytes are not as many.
    pub(super) fn new(bytes: Bytes, count: usize, wide: bool) -> Option<Places> {
        let group_count = count.div_ceil(GROUP);
        let width = if wide { 4 } else { 2 };
        if bytes.len() != group_count * 4 + count * width {
            return None;
        }
        let groups = Buffer::new(bytes.clone(), 0, group_count);
        let rest = bytes.slice(group_count * 4);
        let within = match wide {
            true => Within::Wide(Buffer::new(rest, 0, count)),
            false => Within::Narrow(Buffer::new(rest, 0, count)),
        };
        Some(Places { groups, within })
    }

    /// Where string `row` starts; the string before it ends there.
    #[inline(always)]
    pub(super) fn start(&self, row: usize) -> usize {
        let past = match &self.within {
            Within::Narrow(within) => within[row].into(),
            Within::Wide(within) => within[row] as usize,
        };
        self.groups[row / GROUP] as usize + past
    }

    /// Where strings from `first` on start, as many as there are in `starts`; `first` is the first of a group.
    pub(super) fn starts(&self, first: usize, starts: &mut [u32]) {
        for (group, starts) in starts.chunks_mut(GROUP).enumerate() {
            let base = self.groups[first / GROUP + group];
            let rows = first + group * GROUP..first + group * GROUP + starts.len();
            match &self.within {
                Within::Narrow(within) => {
                    let past = within[rows].iter();
                    starts
                        .iter_mut()
                        .zip(past)
                        .for_each(|(start, &past)| *start = base.wrapping_add(past.into()));
                }
                Within::Wide(within) => {
                    let past = within[rows].iter();
                    starts.iter_mut().zip(past).for_each(|(start, &past)| *start = base.wrapping_add(past));
                }
            }
        }
    }
}
