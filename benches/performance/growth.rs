//! What every part costs at every size, in one table.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    ceilings::{bare_commits, bare_loop, client_loop},
    house::Measured,
    machine,
    server::Server,
};

/// Sizes when none is named: those that take a minute and a half together.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

/// Rows in one transaction of the bare commits.
const GROUPS: [u64; 2] = [1, 100];

/// A row of the table: what, and the figure of each size.
type Row = (String, Vec<(usize, String)>);

/// Measures the sizes that are named, or [`SIZES`].
pub(crate) async fn report(args: &[String], folder: &Path) {
    let named: Vec<usize> = args.iter().filter_map(|arg| arg.replace([',', '_'], "").parse().ok()).collect();
    let sizes = if named.is_empty() { SIZES.to_vec() } else { named };
    println!("Machine: {}.\n", machine::description());
    let steady = Server::spawn();
    let bare = ceilings(&steady, folder).await;
    let mut rows: Vec<Row> = Vec::new();
    for size in &sizes {
        let path = folder.join(format!("growth-{size}.db"));
        grow(&mut rows, &path, *size, &steady);
        let _ = std::fs::remove_file(&path);
    }
    for row in rows
        .iter_mut()
        .filter(|(what, _)| what == "unchanged polls, µs CPU each")
        .map(|(_, row)| row.clone())
        .collect::<Vec<_>>()
    {
        for (size, figure) in row {
            let cpu: f64 = figure.parse().unwrap_or(0.0);
            put(&mut rows, "unchanged polls, CPU over the bare call", size, &format!("{:.2}", cpu / bare.cpu_us()));
        }
    }
    print_table(&rows, &sizes);
}

async fn ceilings(server: &Server, folder: &Path) -> Measured {
    println!("| bare, in the same run | a second | µs CPU each |\n|---|---|---|");
    let tell = |what: &str, measured: &Measured| {
        println!("| {what} | {:.0} | {:.1} |", measured.rate(), measured.cpu_us());
    };
    let bare = bare_loop(&server.url).await;
    tell("calls of the bare HTTP client", &bare);
    tell("the same through the daemon's client", &client_loop(&server.url).await);
    for rows in GROUPS {
        let measured = bare_commits(&folder.join(format!("bare-{rows}.db")), rows).await;
        tell(&format!("rows committed by one writer, {rows} in a transaction"), &measured);
    }
    println!();
    bare
}

/// All parts at one size.
fn grow(rows: &mut Vec<Row>, path: &Path, size: usize, steady: &Server) {
    let mut part = |name: &str, more: &[&str]| {
        eprintln!("{size} requests: {name}");
        let exe = std::env::current_exe().expect("this program");
        let mut child = Command::new(exe);
        child.arg(name).arg(path).arg(size.to_string()).args(more).stderr(Stdio::inherit());
        let output = child.output().expect("a part");
        assert!(output.status.success(), "{size} requests: {name} failed: nothing after it would be true");
        let told = output.stdout;
        for line in String::from_utf8_lossy(&told).lines() {
            if let Some((what, figure)) = line.split_once('\t') {
                put(rows, what, size, figure);
            }
        }
        String::from_utf8_lossy(&told).into_owned()
    };
    part("import", &[]);
    let told = part("polls", &[&steady.url]);
    let rate = told.lines().find_map(|line| line.strip_prefix("unchanged polls, a second\t")?.parse::<f64>().ok());
    part("polls", &[&steady.url, "by-chance"]);
    part("lateness", &[&steady.url, &format!("{:.0}", rate.unwrap_or(10_000.0) / 2.0)]);
    part("tokens", &[&steady.url]);
    part("queries", &[]);
    let changing = Server::spawn_changing();
    part("changed", &[&changing.url]);
    part("accept", &[]);
}

fn put(rows: &mut Vec<Row>, what: &str, size: usize, figure: &str) {
    let known = rows.iter().position(|(known, _)| known == what);
    let at = known.unwrap_or_else(|| {
        rows.push((what.to_owned(), Vec::new()));
        rows.len() - 1
    });
    rows[at].1.push((size, figure.to_owned()));
}

fn print_table(rows: &[Row], sizes: &[usize]) {
    let heads: Vec<String> = sizes.iter().map(|size| thousands(*size)).collect();
    println!("| requests | {} |\n|---|{}", heads.join(" | "), "---:|".repeat(sizes.len()));
    for (what, figures) in rows {
        let of = |size| figures.iter().find(|(known, _)| known == size).map_or("", |(_, figure)| figure);
        let cells: Vec<&str> = sizes.iter().map(of).collect();
        println!("| {} | {} |", what.trim(), cells.join(" | "));
    }
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}
