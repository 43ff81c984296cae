//! The command line: every program that the binary `fairway` can be.
