//! The binary: hands over to [`amplinkd::cli`].

fn main() -> std::process::ExitCode {
    amplinkd::cli::main()
}
