//! The binary `fairway`; everything it does is in the library.

use std::process::ExitCode;

/// This build's version: Cargo.toml's, unless it is built to be tested as another one. It is known here alone, so that
/// such a build compiles nothing else anew.
const VERSION: &str = match option_env!("FAIRWAY_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    fairway::cli::main(VERSION)
}
