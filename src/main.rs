//! The binary `fairway`; everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    fairway::cli::main()
}
