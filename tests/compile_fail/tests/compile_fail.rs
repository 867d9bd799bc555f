//! Code that must not compile, with the compiler's messages: each file beside this folder has one mistake.
//!
//! After a change of messages: `TRYBUILD=overwrite cargo test -p annals-test-compile-fail`, then read the result.

/// Missions J4, J5, J7, J8, A10: each mistake is an error at its place that says what to write.
#[test]
fn invalid_code_does_not_compile_and_the_message_says_why() {
    trybuild::TestCases::new().compile_fail("*.rs");
}
