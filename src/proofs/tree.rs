//! The shape of the tree: which nodes make a root or a proof, and the verification of proofs (RFC 6962, RFC 9162).

use super::TreeHash;

/// A complete subtree: that of the leaves from `index << level` up to `(index + 1) << level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Node {
    pub level: u8,
    pub index: u64,
}

/// The leaves from `start` up to, not including, `end`. `start` is a multiple of the greatest power of two below their number, as for
/// every subtree of RFC 6962.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaves {
    pub start: u64,
    pub end: u64,
}

impl Leaves {
    fn count(self) -> u64 {
        self.end - self.start
    }

    /// The two halves below a node: the first is the greatest complete subtree that is not everything.
    fn halves(self) -> (Self, Self) {
        // The greatest power of two below the count.
        let first = 1 << (u64::BITS - 1 - (self.count() - 1).leading_zeros());
        let middle = self.start + first;
        (Self { start: self.start, end: middle }, Self { start: middle, end: self.end })
    }

    /// The complete subtrees that it consists of, from left to right: the left ones are the larger ones.
    pub fn nodes(self) -> Vec<Node> {
        let (mut nodes, mut start) = (Vec::new(), self.start);
        while start < self.end {
            let level = u64::BITS - 1 - (self.end - start).leading_zeros();
            nodes.push(Node { level: u8::try_from(level).unwrap_or(u8::MAX), index: start >> level });
            start += 1 << level;
        }
        nodes
    }
}

/// The hash of leaves, of the hashes of the [nodes](Leaves::nodes) that they consist of; that of the empty tree without any.
pub(super) fn join(hashes: &[TreeHash]) -> TreeHash {
    let mut hashes = hashes.iter().rev();
    let last = hashes.next().copied().unwrap_or_else(TreeHash::of_empty_tree);
    hashes.fold(last, |right, left| TreeHash::of_children(*left, right))
}

/// The leaves whose hashes prove that the leaf `index` is in the tree of `size`, from its sibling up to the root.
pub(super) fn inclusion(index: u64, size: u64) -> Vec<Leaves> {
    let (mut all, mut proof) = (Leaves { start: 0, end: size }, Vec::new());
    while all.count() > 1 {
        let (left, right) = all.halves();
        if index < right.start {
            proof.push(right);
            all = left;
        } else {
            proof.push(left);
            all = right;
        }
    }
    proof.reverse();
    proof
}

/// The leaves whose hashes prove that the tree of `old` is a beginning of the tree of `new`.
pub(super) fn consistency(old: u64, new: u64) -> Vec<Leaves> {
    let (mut all, mut proof) = (Leaves { start: 0, end: new }, Vec::new());
    if old == 0 || old >= new {
        return proof;
    }
    // Whether the verifier knows the hash of what is left: it is the old root.
    let mut is_old_root = true;
    while all.end != old {
        let (left, right) = all.halves();
        if old <= right.start {
            proof.push(right);
            all = left;
        } else {
            proof.push(left);
            all = right;
            is_old_root = false;
        }
    }
    if !is_old_root {
        proof.push(all);
    }
    proof.reverse();
    proof
}

/// Whether a proof shows that the leaf `index` with this hash is in the tree of this size and root.
#[must_use]
pub fn verify_inclusion(proof: &[TreeHash], index: u64, leaf: TreeHash, size: u64, root: TreeHash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = TreeHash::of_children(*sibling, hash);
            let skipped = if at == 0 { 0 } else { at.trailing_zeros() };
            (at, last) = (at >> skipped, last >> skipped);
        } else {
            hash = TreeHash::of_children(hash, *sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && hash == root
}

/// Whether a proof shows that the tree of one size and root is a beginning of the tree of another.
#[must_use]
pub fn verify_consistency(
    proof: &[TreeHash],
    (old_size, old_root): (u64, TreeHash),
    (new_size, new_root): (u64, TreeHash),
) -> bool {
    if old_size == 0 || old_size >= new_size {
        let same = old_size == new_size && old_root == new_root;
        let from_empty = old_size == 0 && old_root == TreeHash::of_empty_tree();
        return proof.is_empty() && (same || old_size < new_size && from_empty);
    }
    let (first, rest) = match old_size.is_power_of_two() {
        true => (old_root, proof),
        false => match proof.split_first() {
            Some((first, rest)) => (*first, rest),
            None => return false,
        },
    };
    let skipped = (old_size - 1).trailing_ones();
    let (mut at, mut last) = ((old_size - 1) >> skipped, (new_size - 1) >> skipped);
    let (mut old, mut new) = (first, first);
    for hash in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            (old, new) = (TreeHash::of_children(*hash, old), TreeHash::of_children(*hash, new));
            let skipped = if at == 0 { 0 } else { at.trailing_zeros() };
            (at, last) = (at >> skipped, last >> skipped);
        } else {
            new = TreeHash::of_children(new, *hash);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    last == 0 && old == old_root && new == new_root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(index: u64) -> TreeHash {
        TreeHash::of_leaf(&index.to_be_bytes())
    }

    /// The definition of RFC 6962, word for word.
    fn naive(start: u64, end: u64) -> TreeHash {
        match end - start {
            0 => TreeHash::of_empty_tree(),
            1 => leaf(start),
            count => {
                let middle = start + count.next_power_of_two() / 2;
                TreeHash::of_children(naive(start, middle), naive(middle, end))
            }
        }
    }

    fn hash(leaves: &Leaves) -> TreeHash {
        let nodes = leaves.nodes();
        join(
            &nodes
                .iter()
                .map(|node| naive(node.index << node.level, (node.index + 1) << node.level))
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn the_nodes_of_a_tree_make_its_root() {
        for size in 0..300 {
            assert_eq!(hash(&Leaves { start: 0, end: size }), naive(0, size), "{size}");
        }
        let sizes = Leaves { start: 0, end: 70_000 }.nodes();
        assert_eq!(sizes.iter().map(|node| 1_u64 << node.level).sum::<u64>(), 70_000);
    }

    #[test]
    fn each_leaf_has_a_proof_that_holds_for_no_other_leaf_size_or_root() {
        for size in 1..70 {
            let root = naive(0, size);
            for index in 0..size {
                let proof: Vec<TreeHash> = inclusion(index, size).iter().map(hash).collect();
                assert!(verify_inclusion(&proof, index, leaf(index), size, root), "{index} of {size}");
                assert!(!verify_inclusion(&proof, index, leaf(index + 1), size, root));
                assert!(!verify_inclusion(&proof, index, leaf(index), size, naive(0, size + 1)));
                for other in (0..size + 2).filter(|other| *other != index) {
                    assert!(
                        !verify_inclusion(&proof, other, leaf(index), size, root),
                        "{other} for {index} of {size}"
                    );
                }
                let longer: Vec<TreeHash> = proof.iter().copied().chain([leaf(0)]).collect();
                assert!(!verify_inclusion(&longer, index, leaf(index), size, root));
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!verify_inclusion(shorter, index, leaf(index), size, root));
                }
            }
        }
    }

    #[test]
    fn each_tree_is_proved_to_be_a_beginning_of_each_later_one_and_of_no_other() {
        for new in 0..70 {
            for old in 0..=new {
                let proof: Vec<TreeHash> = consistency(old, new).iter().map(hash).collect();
                let (before, after) = ((old, naive(0, old)), (new, naive(0, new)));
                assert!(verify_consistency(&proof, before, after), "{old} to {new}");
                let forged = leaf(1_000);
                assert!(!verify_consistency(&proof, (old, forged), after), "{old} to {new}");
                // Every tree begins with the empty one: nothing can be proved of its root.
                assert!(
                    old == 0 && new > 0 || !verify_consistency(&proof, before, (new, forged)),
                    "{old} to {new}"
                );
                let longer: Vec<TreeHash> = proof.iter().copied().chain([forged]).collect();
                assert!(!verify_consistency(&longer, before, after), "{old} to {new}");
                if let Some((_, shorter)) = proof.split_last() {
                    assert!(!verify_consistency(shorter, before, after), "{old} to {new}");
                }
                assert!(old == new || !verify_consistency(&proof, after, before), "{new} to {old}");
            }
        }
    }
}
