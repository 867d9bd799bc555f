//! What must not compile, and what the compiler says then: each file of `compile_fail/` is one mistake.
//!
//! After a change of words: `TRYBUILD=overwrite cargo test --test compile_fail`, then read what it wrote.

/// Mission J4, J5, J7, J8, A10: a mistake is a message on the culprit that says what to write.
#[test]
fn what_must_not_compile_does_not_and_says_why() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
