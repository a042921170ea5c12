//! The `towpath` binary. All it does is hand its arguments to the agent.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent::main(std::env::args_os())
}
