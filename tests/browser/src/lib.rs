//! The page of annals in a real browser: see the tests.
