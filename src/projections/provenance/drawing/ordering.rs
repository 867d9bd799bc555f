//! The order and the heights of items in columns: longest paths, barycentres, and boxes that do not overlap.

use std::collections::VecDeque;

use super::layout::Item;

/// How often the columns are ordered and moved.
const SWEEPS: usize = 8;

/// The length of the longest path to each node. Edges that close a circle do not count.
pub(super) fn longest_paths(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let (mut after, mut before) = (vec![Vec::new(); nodes], vec![0_usize; nodes]);
    for (from, to) in edges.iter().filter(|(from, to)| from != to) {
        if let (Some(after), Some(before)) = (after.get_mut(*from), before.get_mut(*to)) {
            after.push(*to);
            *before += 1;
        }
    }
    let mut lengths = vec![0; nodes];
    let mut is_done = vec![false; nodes];
    let mut ready: VecDeque<usize> = (0..nodes).filter(|node| before.get(*node) == Some(&0)).collect();
    let mut rest = 0..nodes;
    while let Some(node) = ready.pop_front().or_else(|| rest.find(|node| is_done.get(*node) == Some(&false))) {
        let Some(done) = is_done.get_mut(node).filter(|done| !**done) else { continue };
        *done = true;
        let length = lengths.get(node).copied().unwrap_or(0) + 1;
        for next in after.get(node).into_iter().flatten() {
            let (Some(false), Some(before), Some(next_length)) =
                (is_done.get(*next).copied(), before.get_mut(*next), lengths.get_mut(*next))
            else {
                continue;
            };
            *next_length = length.max(*next_length);
            *before = before.saturating_sub(1);
            if *before == 0 {
                ready.push_back(*next);
            }
        }
    }
    lengths
}

/// The items to the left and to the right of each item.
pub(super) struct Neighbours {
    left: Vec<Vec<usize>>,
    right: Vec<Vec<usize>>,
}

impl Neighbours {
    pub(super) fn of(items: &[Item]) -> Self {
        let (mut left, mut right) = (vec![Vec::new(); items.len()], vec![Vec::new(); items.len()]);
        for (from, item) in items.iter().enumerate() {
            for to in item.ports.iter().flat_map(|port| &port.to) {
                if let (Some(left), Some(right)) = (left.get_mut(*to), right.get_mut(from)) {
                    left.push(from);
                    right.push(*to);
                }
            }
        }
        Self { left, right }
    }
}

/// The mean of the values of some items.
fn mean(of: Option<&Vec<usize>>, values: &[f64]) -> Option<f64> {
    let found: Vec<f64> = of?.iter().filter_map(|index| values.get(*index).copied()).collect();
    (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
}

/// Orders the items of each column by those beside them.
pub(super) fn order(rows: &mut [Vec<usize>], neighbours: &Neighbours) {
    let count = neighbours.left.len();
    let mut places = vec![0.0; count];
    let note = |row: &[usize], places: &mut Vec<f64>| {
        for (place, index) in row.iter().enumerate() {
            if let Some(known) = places.get_mut(*index) {
                *known = (place as f64 + 0.5) / row.len() as f64;
            }
        }
    };
    rows.iter().for_each(|row| note(row, &mut places));
    for sweep in 0..SWEEPS {
        let (of, columns): (_, Vec<usize>) = match sweep % 2 {
            0 => (&neighbours.left, (0..rows.len()).collect()),
            _ => (&neighbours.right, (0..rows.len()).rev().collect()),
        };
        for column in columns {
            let Some(row) = rows.get_mut(column) else { continue };
            let wanted =
                |index: &usize| mean(of.get(*index), &places).or(places.get(*index).copied()).unwrap_or(0.0);
            row.sort_by_cached_key(|index| Order(wanted(index)));
            note(row, &mut places);
        }
    }
}

/// Numbers in their order.
#[derive(PartialEq)]
struct Order(f64);

impl Eq for Order {}

impl PartialOrd for Order {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Order {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Moves the items of each column towards those beside them, in their order and without overlap. Those of the `first` column are at the
/// top.
pub(super) fn set_heights(items: &mut [Item], rows: &[Vec<usize>], neighbours: &Neighbours, first: usize) {
    let heights: Vec<f64> = items.iter().map(Item::height).collect();
    let mut ys = vec![0.0; items.len()];
    // Those on the side where a reader begins, if there are any.
    let (near, far) = match first {
        0 => (&neighbours.left, &neighbours.right),
        _ => (&neighbours.right, &neighbours.left),
    };
    for sweep in 0..SWEEPS {
        let columns: Vec<usize> =
            if sweep % 2 == 0 { (0..rows.len()).collect() } else { (0..rows.len()).rev().collect() };
        for column in columns {
            let Some(row) = rows.get(column) else { continue };
            let wanted: Vec<f64> = row
                .iter()
                .map(|index| {
                    if column == first {
                        return 0.0;
                    }
                    let beside = |of: &[Vec<usize>]| mean(of.get(*index), &ys);
                    beside(near).or_else(|| beside(far)).unwrap_or(0.0)
                })
                .collect();
            let of_row: Vec<f64> = row.iter().map(|index| heights.get(*index).copied().unwrap_or(0.0)).collect();
            for (index, y) in row.iter().zip(apart(&wanted, &of_row)) {
                if let Some(known) = ys.get_mut(*index) {
                    *known = y;
                }
            }
        }
    }
    items.iter_mut().zip(ys).for_each(|(item, y)| item.y = y);
}

/// The middles of boxes with these heights that do not overlap, in this order, as near to the wanted middles as possible: the least
/// squares, by pooling of neighbours that are in each other's way.
fn apart(wanted: &[f64], heights: &[f64]) -> Vec<f64> {
    let mut offsets = Vec::with_capacity(heights.len());
    let mut end = 0.0;
    for height in heights {
        offsets.push(end + height / 2.0);
        end += height;
    }
    // Each pool: the sum of what its members want, and their number.
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for (wanted, offset) in wanted.iter().zip(&offsets) {
        let mut pool = (wanted - offset, 1);
        while let Some((sum, count)) = pools.pop_if(|(sum, count)| *sum / *count as f64 >= pool.0 / pool.1 as f64) {
            pool = (pool.0 + sum, pool.1 + count);
        }
        pools.push(pool);
    }
    // Nothing is above the top.
    let begins =
        pools.into_iter().flat_map(|(sum, count)| std::iter::repeat_n((sum / count as f64).max(0.0), count));
    begins.zip(offsets).map(|(begin, offset)| begin + offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_apart_and_near_to_where_they_want_to_be() {
        assert_eq!(apart(&[0.0, 100.0], &[10.0, 10.0]), [5.0, 100.0], "the first one ends at the top");
        assert_eq!(apart(&[50.0, 50.0], &[10.0, 30.0]), [40.0, 60.0]);
        let placed = apart(&[9.0, 3.0, 3.0, 80.0, 2.0], &[10.0; 5]);
        assert!(placed.windows(2).all(|pair| pair[1] - pair[0] >= 10.0 - 1e-9), "{placed:?}");
    }

    #[test]
    fn a_node_is_behind_all_that_point_to_it_and_a_circle_ends() {
        assert_eq!(longest_paths(4, &[(0, 1), (1, 2), (0, 2), (2, 3)]), [0, 1, 2, 3]);
        let circle = longest_paths(3, &[(0, 1), (1, 2), (2, 1), (2, 2)]);
        assert_eq!(circle.len(), 3);
        assert!(circle.iter().all(|length| *length < 3), "{circle:?}");
    }
}
