//! The simulator against a small region made for the tests.
