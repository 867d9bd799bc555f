//! The order in which the rows of one commit are executed.

use std::collections::HashMap;

use crate::git::Row;

/// Orders the rows of a commit so that a file leaves a path before another one arrives there.
///
/// Git sorts rows by path, so that a file may seem to arrive before the old one has left. At most one row leaves a path and at
/// most one arrives there, so the rows form chains (`a` to `b`, `b` to `c`: the last one first) and cycles (`a` to `b`, `b` to `a`),
/// which start anywhere: see [`RenameFile`](crate::files::RenameFile). Copies come first, because they are made of a file as it was
/// before the commit. The order depends on the rows alone, so that an import
/// that continues after a crash uses the same order.
#[must_use]
pub fn in_order(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| !matches!(row, Row::Copied { .. }));
    let departures: HashMap<&[u8], usize> =
        rows.iter().enumerate().filter_map(|(index, row)| Some((row.departs()?, index))).collect();
    let before = |index: usize| rows[index].arrives().and_then(|path| departures.get(path)).copied();
    let mut placed = vec![false; rows.len()];
    let mut order = Vec::with_capacity(rows.len());
    let mut chain = Vec::new();
    for index in 0..rows.len() {
        let mut next = Some(index);
        while let Some(row) = next.filter(|row| !placed[*row]) {
            placed[row] = true;
            chain.push(row);
            next = before(row);
        }
        order.extend(chain.drain(..).rev());
    }
    let mut rows: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
    order.into_iter().filter_map(|index| rows[index].take()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn renamed(from: &str, to: &str) -> Row {
        Row::Renamed { from: from.into(), to: to.into() }
    }

    fn added(path: &str) -> Row {
        Row::Added(path.into())
    }

    fn deleted(path: &str) -> Row {
        Row::Deleted(path.into())
    }

    #[test]
    fn rows_that_do_not_meet_keep_their_order() {
        let rows = vec![added("b"), deleted("a"), renamed("c", "d"), Row::Changed("e".into())];
        assert_eq!(in_order(rows.clone()), rows);
    }

    #[test]
    fn a_path_is_left_before_it_is_reached() {
        assert_eq!(in_order(vec![renamed("a", "b"), deleted("b")]), [deleted("b"), renamed("a", "b")]);
        assert_eq!(
            in_order(vec![renamed("a", "b"), renamed("b", "c"), renamed("c", "d"), added("a")]),
            [renamed("c", "d"), renamed("b", "c"), renamed("a", "b"), added("a")]
        );
    }

    #[test]
    fn a_copy_is_made_before_its_source_changes() {
        let copied = Row::Copied { from: "a".into(), to: "c".into() };
        let rows = vec![Row::Changed("a".into()), copied.clone()];
        assert_eq!(in_order(rows), [copied, Row::Changed("a".into())]);
    }

    #[test]
    fn a_ring_is_entered_once() {
        assert_eq!(in_order(vec![renamed("a", "b"), renamed("b", "a")]), [renamed("b", "a"), renamed("a", "b")]);
    }

    proptest! {
        /// For any renames between two sets of paths: every row occurs once, and a file arrives at a path before the old one
        /// leaves only in cycles, once in each.
        #[test]
        fn every_row_comes_once(targets in Just((0..12).collect::<Vec<usize>>()).prop_shuffle(), kept in any::<u16>()) {
            let rows: Vec<Row> = targets
                .iter()
                .enumerate()
                .filter(|(from, to)| from != *to && kept >> from & 1 == 1)
                .map(|(from, to)| renamed(&from.to_string(), &to.to_string()))
                .collect();
            let ordered = in_order(rows.clone());
            let set = |rows: &[Row]| rows.iter().map(|row| row.path().to_vec()).collect::<BTreeSet<_>>();
            prop_assert_eq!(ordered.len(), rows.len());
            prop_assert_eq!(set(&ordered), set(&rows));
            // The set of paths with a file at the end must follow from the rows.
            let mut there: BTreeSet<Vec<u8>> = rows.iter().filter_map(|row| row.departs().map(<[u8]>::to_vec)).collect();
            let mut arrived = BTreeSet::new();
            for row in &ordered {
                let (from, to) = (row.departs().unwrap_or_default(), row.arrives().unwrap_or_default());
                prop_assert!(there.contains(from));
                if !arrived.contains(from) {
                    there.remove(from);
                }
                there.insert(to.to_vec());
                arrived.insert(to.to_vec());
            }
            prop_assert_eq!(there, set(&rows));
        }
    }
}
