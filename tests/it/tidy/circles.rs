//! No two files of a room import each other, however long the way round: whoever opens a file can read what it stands on
//! first. A `pub use` is a room's face and counts for nothing, nor does an item of a folder's own `mod.rs`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, identifier, tidy, tree};

type Module = Vec<String>;

fn module_of(path: &str) -> Module {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    inside.split('/').map(str::to_owned).collect()
}

/// The code without the statements by which it shows others' items as its own.
fn without_faces(code: &str) -> String {
    let mut kept = String::new();
    let mut in_face = false;
    for line in code.lines() {
        let begin = line.trim_start();
        in_face |= begin.starts_with("pub use ") || begin.starts_with("pub(") && begin.contains(") use ");
        if !in_face {
            kept.push_str(line);
            kept.push('\n');
        }
        in_face &= !line.contains(';');
    }
    kept
}

/// Every path that begins with `text`, of a tree as in `a::{b, c::d}`; and what follows it.
fn paths(text: &str) -> (Vec<Module>, &str) {
    let text = text.trim_start();
    let name = identifier(text);
    let mut rest = &text[name.len()..];
    let Some(after) = rest.strip_prefix("::") else { return (vec![vec![name]], rest) };
    let mut found = Vec::new();
    if let Some(list) = after.strip_prefix('{') {
        rest = list;
        while !rest.trim_start().starts_with('}') && !rest.trim_start().is_empty() {
            let (some, after) = paths(rest);
            found.extend(some);
            // An alias, a star or whatever else stands before the next name.
            rest = after.trim_start_matches(|c: char| c != ',' && c != '}').trim_start_matches(',');
        }
        rest = rest.trim_start().trim_start_matches('}');
    } else {
        (found, rest) = paths(after);
    }
    let with_name = |path: Module| [name.clone()].into_iter().chain(path).collect();
    (found.into_iter().map(with_name).collect(), rest)
}

/// The modules that a file imports, of those that are files.
fn imports(source: &Source, files: &BTreeSet<Module>) -> BTreeSet<Module> {
    let here = module_of(&source.path);
    let code = without_faces(&source.code().join("\n"));
    let mut imports = BTreeSet::new();
    for prefix in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            for path in paths(&code[at..]).0 {
                let ups = path.iter().take_while(|name| *name == "super").count();
                let base = if path[0] == "crate" { &[][..] } else { &here[..here.len().saturating_sub(ups)] };
                let named =
                    base.iter().chain(path.iter().filter(|name| !["crate", "super", "self"].contains(&name.as_str())));
                let named: Module = named.cloned().collect();
                let file = (1..=named.len()).rev().map(|length| &named[..length]).find(|file| files.contains(*file));
                imports.extend(file.filter(|file| !here.starts_with(file)).map(<[String]>::to_vec));
            }
        }
    }
    imports
}

/// What is left when files that import nothing are taken away, again and again: circles, and what leads into them.
fn circles(mut left: BTreeMap<Module, BTreeSet<Module>>) -> BTreeMap<Module, BTreeSet<Module>> {
    loop {
        let leaves: Vec<Module> =
            left.iter().filter(|(_, imports)| imports.is_empty()).map(|(file, _)| file.clone()).collect();
        if leaves.is_empty() {
            return left;
        }
        left.retain(|file, _| !leaves.contains(file));
        for imports in left.values_mut() {
            imports.retain(|file| !leaves.contains(file));
        }
    }
}

#[test]
fn no_two_files_of_a_room_import_each_other() {
    let sources: Vec<Source> = tree().into_iter().filter(|source| source.is("rs") && source.room().is_some()).collect();
    let files: BTreeSet<Module> = sources.iter().map(|source| module_of(&source.path)).collect();
    let in_room = |source: &Source| {
        let here = module_of(&source.path);
        let imports = imports(source, &files).into_iter().filter(|file| file[0] == here[0]).collect();
        (here, imports)
    };
    let left = circles(sources.iter().map(in_room).collect());
    let faults: Vec<String> = left
        .into_iter()
        .map(|(file, imports)| {
            let imports: Vec<String> = imports.iter().map(|file| file.join("::")).collect();
            format!(
                "{} imports {}, which leads back to it or to others like it",
                file.join("::"),
                imports.join(" and ")
            )
        })
        .collect();
    tidy("files of one room that import each other in a circle: move what both need to a file of its own", &faults);
}

#[test]
fn a_circle_is_found_and_a_line_is_none() {
    let graph = |edges: &[(&str, &str)]| {
        let mut graph: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (from, to) in edges {
            graph.entry(vec![(*from).to_owned()]).or_default().insert(vec![(*to).to_owned()]);
            graph.entry(vec![(*to).to_owned()]).or_default();
        }
        circles(graph).len()
    };
    assert_eq!([graph(&[("a", "b"), ("b", "c")]), graph(&[("a", "b"), ("b", "c"), ("c", "a")])], [0, 3]);
    let named = paths("crate::{a::B, c::{self, d::E as F}, g::*};").0;
    let named: Vec<String> = named.iter().map(|path| path.join("::")).collect();
    assert_eq!(named, ["crate::a::B", "crate::c::self", "crate::c::d::E", "crate::g::"]);
    assert_eq!(without_faces("pub use a::{\n    b,\n};\npub(super) use c::d;\nuse e::f;\n"), "use e::f;\n");
}
