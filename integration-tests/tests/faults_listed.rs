//! The list of faults (`docs/faults.md`) names tests that exist, faults that the simulator knows, and every row.

#![expect(clippy::panic, reason = "what is not as expected ends the test, with its reason")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Rows that must be there: the faults that SV1 miners, an SV2 pool and those that jobs are declared to can cause.
const ROWS: [u32; 34] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
    29, 30, 31, 32, 33, 34,
];

#[test]
fn every_fault_has_its_tests() {
    let faults = rows("faults", 6);
    let numbers: Vec<u32> = faults.iter().map(|row| row[0].parse().expect("a row's number")).collect();
    assert_eq!(numbers, ROWS, "the rows of docs/faults.md");
    for row in faults.iter().chain(&rows("measured", 6)) {
        let place = format!("row {:?} of docs/faults.md", row[0]);
        let found = check_tests(&place, &row[3]);
        let stated: BTreeSet<char> = row[4].chars().collect();
        assert_eq!(stated, found, "{place}: the kinds of run are not those of its tests");
    }
}

/// What has gone wrong elsewhere is answered here by tests that exist.
#[test]
fn every_answer_has_its_tests() {
    let page = read(Path::new("docs/vulnerabilities.md"));
    let mut answers = 0;
    for part in page.split("<!-- answers:").skip(1) {
        let (table, _) = part.split_once("<!-- end of answers").expect("the table ends");
        for row in cells(table, 4) {
            check_tests(&format!("{:?} in docs/vulnerabilities.md", row[0]), &row[3]);
            answers += 1;
        }
    }
    assert!(answers > 20, "{answers}");
}

/// The rows of the table between two comments, each cut into its cells.
fn rows(table: &str, count: usize) -> Vec<Vec<String>> {
    let page = read(Path::new("docs/faults.md"));
    let (_, after) = page.split_once(&format!("<!-- {table}:")).unwrap_or_else(|| panic!("no table {table}"));
    let (inside, _) = after.split_once(&format!("<!-- end of {table}")).expect("the table ends");
    let rows = cells(inside, count);
    assert!(!rows.is_empty(), "table {table} has rows");
    rows
}

/// The rows of a table, each cut into its cells.
fn cells(table: &str, count: usize) -> Vec<Vec<String>> {
    let lines = table.lines().filter(|line| line.starts_with('|')).skip(2);
    let rows: Vec<Vec<String>> = lines
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect();
    for row in &rows {
        assert_eq!(row.len(), count, "{row:?}");
    }
    rows
}

/// Every test named in a cell exists. Gives the kinds of run.
fn check_tests(place: &str, cell: &str) -> BTreeSet<char> {
    let simulated = read(Path::new("crates/lab/src/sim/faults.rs"));
    let mut kinds = BTreeSet::new();
    for name in cell.split('`').skip(1).step_by(2) {
        if let Some(fault) = name.strip_prefix("sim: ") {
            assert!(
                simulated.contains(&format!("=> {fault:?},")),
                "{place}: the simulator knows no {fault:?}"
            );
            kinds.insert('S');
            continue;
        }
        let Some((file, test)) = name.split_once("::") else {
            panic!("{place}: {name:?} is neither `file.rs::test` nor `sim: fault`");
        };
        assert!(is_test(&read(Path::new(file)), test), "{place}: no test {test} in {file}");
        kinds.insert(match file {
            "crates/lab/tests/simulation.rs" => 'S',
            _ if file.starts_with("integration-tests/tests/faults/") => 'B',
            _ if file.starts_with("integration-tests/tests/real_peers/") => 'R',
            _ => 'C',
        });
    }
    assert!(!kinds.is_empty(), "{place} names no test");
    kinds
}

/// A function of this name stands below an attribute that makes it a test.
fn is_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let head = format!("fn {name}(");
    let function =
        lines.iter().position(|line| line.strip_prefix("async ").unwrap_or(line).starts_with(&head));
    function.is_some_and(|at| {
        let attributes = lines[..at].iter().rev().take_while(|line| !line.ends_with('}') && !line.is_empty());
        attributes.into_iter().any(|line| *line == "#[test]" || line.starts_with("#[tokio::test"))
    })
}

fn read(path: &Path) -> String {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every test that takes a process of Adit is listed: what is not would be shown to nobody.
#[test]
fn every_test_of_faults_is_listed() {
    let page = read(Path::new("docs/faults.md"));
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults"));
    let mut seen = 0;
    for path in files(&folder).into_iter().chain(files(&folder.join("declaring"))) {
        let name = path.strip_prefix(&folder).expect("it is in the folder").to_string_lossy().into_owned();
        let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        for part in source.split("#[ignore = ").skip(1) {
            let test = part.split_once("fn ").and_then(|(_, rest)| rest.split_once('(')).expect("a test").0;
            assert!(
                page.contains(&format!("faults/{name}::{test}`")),
                "{name}::{test} is in no row of docs/faults.md"
            );
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen}");
}

/// The files in a folder, without its folders.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("the folder can be read").path());
    paths.filter(|path| path.is_file()).collect()
}

#[test]
fn only_what_is_marked_as_a_test_counts_as_one() {
    let source =
        "#[test]\nfn a() {\n}\n\nfn b() {\n}\n\n#[tokio::test]\n#[ignore = \"x\"]\nasync fn c() {}\n";
    assert!(is_test(source, "a") && is_test(source, "c"));
    assert!(!is_test(source, "b") && !is_test(source, "d"));
}
