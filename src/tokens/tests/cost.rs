//! What a token costs. Only its order of magnitude is tested: the numbers are for `docs/decisions/0070`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::*;

fn median(times: usize, mut work: impl FnMut()) -> Duration {
    let mut taken: Vec<Duration> = (0..times)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed()
        })
        .collect();
    taken.sort_unstable();
    taken[times / 2]
}

#[test]
fn a_decision_costs_far_less_than_verifying_the_signatures() {
    let keys = Keys::generate();
    let one = minted(&keys);
    let two =
        narrowed(&keys, &one, "check if method(\"GET\"); check if target($t), $t.starts_with(\"project%3A\")");
    let token = verified(&keys, &two);
    let request = Request { targets: &["project:7"], ..request() };
    let (first, second) = (median(50, || drop(keys.verify(&one))), median(50, || drop(keys.verify(&two))));
    let decided = median(50, || {
        let _ = black_box(token.allows(&request));
    });
    let refused = narrowed(&keys, &one, "f(1); check if f($a), f($b), f($c), f($d)");
    let refusing = median(50, || drop(keys.verify(&refused)));
    println!("verify 1 block {first:?}, 2 blocks {second:?}, refuse a block {refusing:?}, decide {decided:?}");
    assert!(decided < second, "{decided:?}");
}
