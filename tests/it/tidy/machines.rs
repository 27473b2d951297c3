//! Nothing in the tree speaks of one machine or of one company.

use super::{tidy, tree};

/// Texts that hold only on one machine or in one company. Put together here so that this file passes itself.
const MACHINES: [&str; 8] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
    concat!("C:", "\\"),
    concat!(".cargo/", "registry"),
    concat!("artif", "actory"),
    concat!("jfr", "og"),
];

#[test]
fn nothing_speaks_of_one_machine() {
    let mut faults = Vec::new();
    for source in tree() {
        for (number, line) in (1..).zip(source.text.lines()) {
            if let Some(word) = MACHINES.iter().find(|word| line.contains(**word)) {
                faults.push(format!("{}:{number}: `{word}` exists on one machine only: leave it out", source.path));
            }
        }
    }
    tidy("private paths and hosts", &faults);
}
