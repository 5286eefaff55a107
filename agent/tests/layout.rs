//! The layout of the workspace, which nothing else would keep: dependencies point one way, the core does no I/O, files stay
//! readable, nothing is left for later, and every dependency may be used.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test that names its line")]
#![allow(clippy::print_stdout, reason = "figures and notices of a test")]

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which packages of the workspace a package may depend on.
const EDGES: &[(&str, &[&str])] = &[
    ("ofproto-client", &[]),
    ("ovsdb", &[]),
    ("ovn-lang", &["ofproto-client"]),
    ("ovn-core", &["ofproto-client", "ovn-lang", "ovsdb"]),
    ("ovn-packet", &["ofproto-client", "ovn-core"]),
    ("ovn-agent", &["ofproto-client", "ovn-core", "ovn-lang", "ovn-packet", "ovsdb"]),
    ("ovn-benches", &["ofproto-client", "ovn-core", "ovn-lang", "ovn-packet", "ovsdb"]),
];

/// Packages without sockets, clocks and threads.
const SANS_IO: &[&str] = &["ofproto-client", "ovsdb", "ovn-lang", "ovn-core", "ovn-packet"];

/// Licences of which one must be among the alternatives that a dependency offers.
const LICENCES: &[&str] = &["Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "Unicode-3.0"];

/// Longest file, in lines.
const LONGEST: usize = 1200;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    source: Option<String>,
    license: Option<String>,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    path: Option<PathBuf>,
    kind: Option<String>,
    features: Vec<String>,
    uses_default_features: bool,
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata(arguments: &[&str]) -> Metadata {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .args(arguments)
        .current_dir(top())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn dependencies_point_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    for package in metadata(&["--no-deps"]).packages {
        let may =
            allowed.get(package.name.as_str()).unwrap_or_else(|| panic!("package {} is not in EDGES", package.name));
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let edge = format!("{} -> {}", package.name, dependency.name);
            // A package may name itself in its own tests.
            assert!(may.contains(&dependency.name.as_str()) || dependency.name == package.name, "edge {edge}");
            let sans_io = SANS_IO.contains(&package.name.as_str()) && dependency.kind.is_none();
            if sans_io && ["ofproto-client", "ovsdb"].contains(&dependency.name.as_str()) {
                assert!(!dependency.uses_default_features, "{edge} switches the default features on");
                assert!(dependency.features.is_empty(), "{edge} switches {:?} on", dependency.features);
            }
        }
    }
}

#[test]
fn only_the_agent_and_the_transports_know_a_runtime() {
    for package in metadata(&["--no-deps"])
        .packages
        .iter()
        .filter(|p| ["ovn-lang", "ovn-core", "ovn-packet"].contains(&p.name.as_str()))
    {
        for dependency in &package.dependencies {
            let is_io = ["tokio", "nix", "mio", "socket2", "libc"].contains(&dependency.name.as_str());
            assert!(!is_io, "{} -> {}", package.name, dependency.name);
        }
    }
}

#[test]
fn library_crates_forbid_unsafe_code() {
    for package in metadata(&["--no-deps"]).packages {
        let folder = package.manifest_path.parent().unwrap().join("src");
        let root = [folder.join("lib.rs"), folder.join("main.rs")].into_iter().find(|path| path.exists()).unwrap();
        let text = std::fs::read_to_string(&root).unwrap();
        // The binary may need a system call that nix lacks; it says so itself then.
        let forbids = text.lines().any(|line| line == "#![forbid(unsafe_code)]");
        assert!(forbids || package.name == "ovn-agent" && text.contains("#![deny(unsafe_code)]"), "{}", root.display());
    }
}

#[test]
fn files_stay_readable_and_nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let later: Vec<String> = ["todo!", "unimplemented!"].iter().map(|name| format!("{name}(")).collect();
    let skipped = format!("#[{}", "ignore");
    let mut files = 0;
    for path in sources(&top()) {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{}: {lines} lines", path.display());
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.trim_start();
            let bad = later.iter().any(|word| code.contains(word.as_str())) || code.starts_with(&skipped);
            assert!(!bad || code.starts_with("//"), "{}:{number}: {line}", path.display());
        }
        files += 1;
    }
    assert!(files > 100, "only {files} files were found");
}

#[test]
fn every_dependency_may_be_used() {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut licences = BTreeSet::new();
    for package in metadata(&["--filter-platform", &target]).packages {
        let licence = package.license.unwrap_or_default();
        let name = &package.name;
        match package.source.as_deref() {
            None => assert_eq!(licence, "Apache-2.0", "{name}"),
            Some(source) => {
                assert_eq!(source, "registry+https://github.com/rust-lang/crates.io-index", "{name}");
                assert!(may_be_used(&licence), "{name} is under \"{licence}\"");
            }
        }
        licences.insert(licence);
    }
    println!("licences: {licences:?}");
}

/// Whether each part joined by AND offers an alternative that is on the list.
fn may_be_used(licence: &str) -> bool {
    let plain = licence.replace(['(', ')'], "").replace('/', " OR ");
    !plain.is_empty() && plain.split(" AND ").all(|part| part.split(" OR ").any(|one| LICENCES.contains(&one.trim())))
}

/// The Rust files that people wrote.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files.extend(sources(&path));
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
    files
}
