//! Functions that the schema brings answer as those of SQLite do.

use rusqlite::Connection;

use super::{Database, database};

/// Questions of both databases, in the words of each, put together before they are asked.
#[derive(Default)]
struct Questions(Vec<(String, String)>);

impl Questions {
    /// One text for both.
    fn both(&mut self, expression: &str) {
        self.each(expression, expression);
    }

    fn each(&mut self, sqlite: &str, postgres: &str) {
        self.0.push((sqlite.to_owned(), postgres.to_owned()));
    }

    fn agree(self, postgres: &Database) {
        let file = Connection::open_in_memory().unwrap();
        let asked = self.0.iter().map(|(_, expression)| {
            format!("SELECT coalesce('=' || encode(convert_to(({expression})::text, 'UTF8'), 'hex'), 'null');\n")
        });
        let found = postgres.ask(&asked.collect::<String>());
        assert_eq!(found.len(), self.0.len());
        for ((sqlite, asked), found) in self.0.iter().zip(found) {
            let sql = format!(
                "SELECT iif(x IS NULL, 'null', '=' || lower(hex(CAST(x AS TEXT)))) FROM (SELECT ({sqlite}) AS x)"
            );
            let expected: String =
                file.query_row(&sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{error}\n{sql}"));
            assert_eq!(readable(&found), readable(&expected), "{asked}");
        }
    }
}

fn readable(answer: &str) -> String {
    let Some(digits) = answer.strip_prefix('=') else { return answer.to_owned() };
    let bytes = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap());
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Where a date begins, ends or turns, and what is no date.
const TIMES: [i64; 27] = [
    0,
    1,
    -1,
    999,
    -1_000,
    59_999,
    86_399_999,
    86_400_000,
    951_782_399_999,
    951_782_400_000,
    1_796_072_400_123,
    4_107_542_399_999,
    253_402_300_799_999,
    253_402_300_800_000,
    -62_135_596_800_000,
    -62_135_596_800_001,
    -62_162_121_600_001,
    -62_167_219_200_000,
    -62_167_219_200_001,
    -93_692_592_000_000,
    -93_692_592_000_001,
    -210_866_716_800_001,
    -210_866_760_000_000,
    -210_866_760_000_001,
    i64::MAX,
    i64::MIN,
    9_007_199_254_740_993,
];

#[tokio::test]
async fn times_read_alike() {
    let Some(postgres) = database().await else { return };
    let mut questions = Questions::default();
    // Every 97 days and some, through the year 9999, beside the odd ones.
    let through = (0..2_000).map(|step| -62_300_000_000_000 + step * 158_765_432_101);
    for ms in through.chain(TIMES) {
        let of = |format: &str| format!("strftime('{format}', ({ms}) / 1000.0, 'unixepoch')");
        questions.each(&of("%Y-%m-%dT%H:%M:%fZ"), &format!("iso({ms})"));
        for format in ["%Y-%m-%dT%H:%M:%fZ", "%Y-%m-%d", "%Y"] {
            questions.each(&of(format), &format!("strftime('{format}', ({ms})::bigint / 1000.0, 'unixepoch')"));
        }
        let day = ms / 86_400_000;
        questions.each(&format!("strftime('%Y-%m-%d', ({day}) * 86400, 'unixepoch')"), &format!("day({day})"));
    }
    for day in [-2_440_588_i64, -2_440_587, 2_932_896, 2_932_897, i64::MAX / 86_400, i64::MIN / 86_400] {
        questions.each(&format!("strftime('%Y-%m-%d', ({day}) * 86400, 'unixepoch')"), &format!("day({day})"));
    }
    questions.each(
        "strftime('%Y-%m-%d', 951782400.0, 'unixepoch')",
        "strftime('%Y-%m-%d', 951782400.0::double precision, 'unixepoch')",
    );
    for null in ["iso(NULL)", "day(NULL)", "strftime('%Y', NULL::numeric, 'unixepoch')"] {
        questions.each("NULL", null);
    }
    questions.agree(&postgres);
    for refused in ["strftime('%s', 1.0, 'unixepoch')", "strftime('%Y', 1.0, 'localtime')"] {
        let said = postgres.try_ask(&format!("SELECT {refused}")).unwrap_err();
        assert!(said.contains("strftime knows no"), "{said}");
    }
}

#[tokio::test]
async fn words_and_numbers_read_alike() {
    let Some(postgres) = database().await else { return };
    let mut questions = Questions::default();
    for text in ["", "00", "ab", "AbCd", "abc", "0g", " ab", "ab ", "ab cd", "0x00", "é0", "ff\n", "a\u{0665}"] {
        questions.each(&format!("hex(unhex({}))", literal(text)), &format!("hex(unhex({}))", literal(text)));
    }
    questions.each("hex(x'')", r"hex('\x'::bytea)");
    questions.each("hex(x'00ff7fA0')", r"hex('\x00ff7fA0'::bytea)");
    questions.each("hex(unhex(NULL))", "hex(unhex(NULL))");
    let words = ["", "a", "abca", "ca", "小程序", "序", "é", "A", "%", "_", "'"];
    for (text, part) in words.iter().flat_map(|text| words.iter().map(move |part| (text, part))) {
        questions.both(&format!("instr({}, {})", literal(text), literal(part)));
    }
    questions.both("instr(NULL, 'a')");
    questions.both("instr('a', NULL)");
    let numbers = ["NULL", "0", "1", "-1", "9223372036854775807", "(-9223372036854775807 - 1)"];
    for (one, other) in numbers.iter().flat_map(|one| numbers.iter().map(move |other| (one, other))) {
        for function in ["max", "min"] {
            questions.both(&format!("{function}(CAST({one} AS BIGINT), CAST({other} AS BIGINT))"));
        }
    }
    for (sqlite, postgres) in [
        ("1", "1::bigint"),
        ("NULL", "NULL::bigint"),
        ("'a'", "'a'::text"),
        ("''", "''::text"),
        ("NULL", "NULL::text"),
        ("x'00'", r"'\x00'::bytea"),
        ("NULL", "NULL::bytea"),
    ] {
        questions.each(&format!("typeof({sqlite})"), &format!("typeof({postgres})"));
    }
    questions.agree(&postgres);
}

/// JSON, and what looks like it.
const JSON: [&str; 40] = [
    "",
    " ",
    "[]",
    " [ ] ",
    "{}",
    "{",
    "[1,]",
    "[1,,2]",
    "[1 2]",
    "{\"a\":1}",
    "{\"a\":1,}",
    "{\"a\"}",
    "{a:1}",
    "{'a':1}",
    "[1] x",
    "01",
    "-",
    "-0",
    "1.",
    ".5",
    "+1",
    "1e5",
    "1e",
    "0x1",
    "NaN",
    "Infinity",
    "true",
    "True",
    "null",
    "nul",
    "\"a",
    "\"\\u00e9\"",
    "\"\\u00e\"",
    "\"\\x\"",
    "\"\\/\"",
    "\"a\tb\"",
    "\"\u{7f}é小\"",
    "// a\n1",
    "\u{feff}[]",
    "\u{a0}[]",
];

/// Arrays of plain values, and of none.
const ARRAYS: [&str; 7] = [
    "[]",
    r#"["a","","é小\u0001\n\"\\\ud83d\udd11"]"#,
    "[0,-1,9223372036854775807,-9223372036854775808]",
    r#"["b","a","b"]"#,
    r#"["[1]","{}"," "]"#,
    r#"[ "x" , "y" ]"#,
    r#"["wx0123456789abcdef","0197c2d4-8e1f-7a63-9b52-000000000001"]"#,
];

#[tokio::test]
async fn json_reads_alike() {
    let Some(postgres) = database().await else { return };
    let mut questions = Questions::default();
    let deep = format!("{}{}", "[".repeat(900), "]".repeat(900));
    for text in JSON.into_iter().chain([deep.as_str()]) {
        let text = literal(text);
        questions.each(&format!("json_valid({text})"), &format!("json_valid({text})::int"));
    }
    questions.each("json_valid(NULL)", "json_valid(NULL)::int");
    for text in ["[]", "[1]", "[[1,2],{},null]", "{\"a\":[1]}", "7", "\"a\"", "null"] {
        questions.each(&format!("json_array_length('{text}')"), &format!("json_array_length('{text}'::text)"));
    }
    questions.each("json_array_length(NULL)", "json_array_length(NULL::text)");
    for field in ["kind", "n", "é", "b", "none", "deep"] {
        let object = literal(r#"{"kind":"a \"b\"","n":-12,"é":"小","b":null,"deep":{"x":[1,"y"]}}"#);
        questions.each(&format!("{object} ->> '{field}'"), &format!("{object}::text ->> '{field}'"));
    }
    questions.each("NULL ->> 'a'", "NULL::text ->> 'a'");
    for text in ARRAYS {
        let text = literal(text);
        let sqlite = format!("SELECT group_concat(j.key || '=' || j.value, '|') FROM json_each({text}) AS j");
        questions.each(
            &sqlite,
            &format!("SELECT string_agg(j.key || '=' || j.value, '|' ORDER BY j.key) FROM json_texts({text}) AS j"),
        );
    }
    let numbers = "[3,-1,9223372036854775807]";
    questions.each(
        &format!("SELECT group_concat(j.key || '=' || (j.value + 0), '|') FROM json_each('{numbers}') AS j"),
        &format!(
            "SELECT string_agg(j.key || '=' || (j.value + 0), '|' ORDER BY j.key) FROM json_numbers('{numbers}') AS j"
        ),
    );
    let records = literal(r#"[{"id":"é\"\\小","n":-9223372036854775808,"b":null},{"id":"","n":0},{}]"#);
    let lists = literal(r#"[["a",1],[null,"x y"],["[1]",-5,7],[]]"#);
    for function in ["json_each", "jsonb_each"] {
        for (rows, cells) in [(&records, ["'id'", "'n'", "'b'"]), (&lists, ["0", "1", "2"])] {
            for cell in cells {
                let line = format!("j.key || '=' || coalesce(j.value ->> {cell}, '∅')");
                let from = format!("FROM {function}({rows}) AS j");
                questions.each(
                    &format!("SELECT group_concat({line}, '|') {from}"),
                    &format!("SELECT string_agg({line}, '|' ORDER BY j.key) {from}"),
                );
            }
        }
    }
    for function in ["json_each", "jsonb_each", "json_texts", "json_numbers"] {
        questions.each("0", &format!("SELECT count(*) FROM {function}(NULL::text)"));
        questions.each("0", &format!("SELECT count(*) FROM {function}('[]'::text)"));
    }
    questions.agree(&postgres);
}
