//! The binary: hands over to [`amplinkd::cli`]. It must never hold logic.

fn main() -> std::process::ExitCode {
    amplinkd::cli::main()
}
