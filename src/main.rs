//! The binary `fairway`; everything it does is in the library.
fn main() {}
