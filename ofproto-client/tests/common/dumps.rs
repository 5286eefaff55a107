//! Lines of recorded dumps (the sample in testdata/wire, the goldens) for the tests that go through all of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// The lines of all dumps in `folders` with that extension that contain `mark`, trimmed, each once.
pub fn dump_lines(extension: &str, mark: &str, folders: &[PathBuf]) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for folder in folders {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|it| it == extension) {
                let text = fs::read_to_string(path).unwrap();
                out.extend(text.lines().filter(|line| line.contains(mark)).map(|line| line.trim().to_owned()));
            }
        }
    }
    out
}
