//! Code that must not compile, with the compiler's messages: each file of `compile_fail/` has one mistake.
//!
//! After a change of messages: `TRYBUILD=overwrite cargo test --test compile_fail`, then read the result.

/// Missions J4, J5, J7, J8, A10: each mistake is an error at its place that says what to write.
#[test]
fn invalid_code_does_not_compile_and_the_message_says_why() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
