//! Values and parts of them combined in advance, so that those of any range are combined in few steps: a segment tree
//! (Leis et al., VLDB 2015), whose nodes have many children and are made as soon as their last child is there.

/// Children of a node.
const FAN_OUT: usize = 16;

/// The values, and on each level above one value for every [`FAN_OUT`] of those below.
pub(super) struct Tree<T> {
    levels: Vec<Vec<T>>,
}

impl<T: Copy> Tree<T> {
    /// A tree that has room for so many values.
    pub(super) fn with_capacity(values: usize) -> Tree<T> {
        Tree { levels: vec![Vec::with_capacity(values)] }
    }

    /// Bytes that it takes for each value, at most.
    pub(super) const fn bytes_a_value() -> u64 {
        // A fifteenth of the values lies above them, and the vectors of these may be half empty.
        (size_of::<T>() + size_of::<T>().div_ceil(4)) as u64
    }

    /// Appends a value.
    pub(super) fn push(&mut self, value: T, combine: impl Fn(T, T) -> T) {
        let mut level = 0;
        let mut value = Some(value);
        while let Some(node) = value.take() {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let nodes = &mut self.levels[level];
            nodes.push(node);
            if nodes.len().is_multiple_of(FAN_OUT) {
                value = nodes[nodes.len() - FAN_OUT..].iter().copied().reduce(&combine);
            }
            level += 1;
        }
    }

    /// The values `from .. to` combined; none of no values.
    pub(super) fn fold(&self, from: u32, to: u32, combine: impl Fn(T, T) -> T) -> Option<T> {
        let (mut from, mut to) = (from as usize, to as usize);
        let mut folded = None;
        let mut take = |nodes: &[T]| {
            let start = folded.take();
            folded = start.into_iter().chain(nodes.iter().copied()).reduce(&combine);
        };
        for (level, nodes) in self.levels.iter().enumerate() {
            if from >= to {
                break;
            }
            let (above_from, above_to) = (from.div_ceil(FAN_OUT), to / FAN_OUT);
            if above_from >= above_to || level + 1 == self.levels.len() {
                take(&nodes[from..to]);
                break;
            }
            take(&nodes[from..above_from * FAN_OUT]);
            take(&nodes[above_to * FAN_OUT..to]);
            (from, to) = (above_from, above_to);
        }
        folded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_range_is_folded() {
        let mut tree = Tree::with_capacity(0);
        let values: Vec<u64> = (0..5_000).map(|value| value * 7_919 % 4_999).collect();
        assert_eq!(tree.fold(0, 0, u64::max), None);
        for (count, &value) in values.iter().enumerate() {
            tree.push(value, u64::max);
            let step = (count / 40).max(1);
            for from in (0..=count).step_by(step) {
                let most = values[from..=count].iter().max().copied();
                assert_eq!(tree.fold(from as u32, count as u32 + 1, u64::max), most);
            }
        }
        for from in (0..5_000).step_by(37) {
            for to in (from..5_000).step_by(53) {
                assert_eq!(
                    tree.fold(from, to, u64::max),
                    values[from as usize..to as usize].iter().max().copied()
                );
            }
        }
    }
}
