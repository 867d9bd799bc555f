//! Blocks: the log in blocks of 4,096 events, of 16 such blocks, of 16 of those, and so on.

use std::ops::Range;

/// The events of a block of the lowest level: the most entries read at one end of a range. Small in tests, so that
/// there are many blocks.
pub(super) const EVENTS: u64 = if cfg!(all(test, debug_assertions)) { 64 } else { 4_096 };

/// How many blocks form a block of the next level.
pub(super) const FAN: u64 = 16;

/// The number of levels: the highest has blocks of 268,435,456 events.
pub(super) const LEVELS: u32 = 5;

/// The number of events of a block of this level.
pub(super) fn events(level: u32) -> u64 {
    EVENTS * FAN.pow(level)
}

/// The number of complete blocks of this level when the log ends before `position`.
pub(super) fn complete_before(level: u32, position: u64) -> u64 {
    position.saturating_sub(1) / events(level)
}

/// The block of the lowest level that contains a position.
pub(super) fn containing(position: u64) -> u64 {
    position.saturating_sub(1) / EVENTS
}

/// The positions of a block.
pub(super) fn positions(level: u32, block: u64) -> Range<u64> {
    block * events(level) + 1..(block + 1) * events(level) + 1
}

/// A range of positions as whole blocks, as large as possible, and the rest at its ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pieces {
    pub edges: Vec<Range<u64>>,
    pub blocks: Vec<(u32, Range<u64>)>,
}

impl Pieces {
    pub fn from_range(range: &Range<u64>) -> Self {
        let mut pieces = Self::default();
        let (start, end) = (range.start.max(1), range.end);
        let blocks = (start - 1).div_ceil(EVENTS)..complete_before(0, end);
        if blocks.is_empty() {
            pieces.edges.extend((start < end).then_some(start..end));
            return pieces;
        }
        let whole = positions(0, blocks.start).start..positions(0, blocks.end).start;
        pieces.edges.extend([start..whole.start, whole.end..end].into_iter().filter(|edge| !edge.is_empty()));
        pieces.cut(0, blocks);
        pieces
    }

    fn cut(&mut self, level: u32, blocks: Range<u64>) {
        let above = blocks.start.div_ceil(FAN)..blocks.end / FAN;
        if level + 1 == LEVELS || above.is_empty() {
            self.blocks.push((level, blocks));
            return;
        }
        let ends = [blocks.start..above.start * FAN, above.end * FAN..blocks.end];
        self.blocks.extend(ends.into_iter().filter(|end| !end.is_empty()).map(|end| (level, end)));
        self.cut(level + 1, above);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_the_range_once_and_few(start in 1_u64..400_000, length in 0_u64..400_000) {
            let range = start..start + length;
            let pieces = Pieces::from_range(&range);
            let mut spans: Vec<Range<u64>> = pieces.edges.clone();
            for (level, blocks) in &pieces.blocks {
                spans.extend(blocks.clone().map(|block| positions(*level, block)));
                prop_assert!(*level + 1 == LEVELS || blocks.end - blocks.start < 2 * FAN);
            }
            spans.sort_by_key(|span| span.start);
            let mut at = start;
            for span in spans {
                prop_assert_eq!(span.start, at);
                at = span.end;
            }
            prop_assert_eq!(at, range.end);
            prop_assert!(pieces.edges.iter().all(|edge| edge.end - edge.start < 2 * EVENTS));
        }
    }
}
