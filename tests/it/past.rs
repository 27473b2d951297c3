//! History and events as tests write them by hand: in words, into the views that show them so. The log holds both as numbers;
//! triggers that live as long as a connection turn one into the other.

/// A word's number in the log.
fn number(column: &str, words: &[&str]) -> String {
    let cases: Vec<String> = words.iter().enumerate().map(|(at, word)| format!("WHEN '{word}' THEN {at}")).collect();
    format!("CASE {column} {} ELSE {column} END", cases.join(" "))
}

/// These statements, with what is written to the views `transition` and `outbox` written to the log.
pub(crate) fn in_words(statements: &str) -> String {
    let writes = ["INTO transition", "UPDATE transition", "FROM transition", "UPDATE outbox"];
    if !writes.iter().any(|write| statements.contains(write)) {
        return statements.to_owned();
    }
    let state = |column: &str| {
        let open =
            ["requested", "initiating", "initiated", "awaiting_account_admin", "awaiting_program_admin", "deferred"];
        let ends = ["linked", "rejected", "failed", "lapsed", "cancelled", "unlinked"];
        number(column, &[open, ends].concat())
    };
    let causes = ["accepted", "listing", "call", "answer", "quota", "deadline", "operator", "restore"];
    let cause = number("new.cause", &causes);
    let (from, to) = (state("new.from_state"), state("new.to_state"));
    let of_row = "request = (SELECT r.row FROM request AS r WHERE r.id = old.request_id) AND step = old.seq";
    format!(
        "CREATE TEMP TRIGGER IF NOT EXISTS add_transition INSTEAD OF INSERT ON main.transition BEGIN
             INSERT INTO log (seq, at, request, step, from_state, to_state, cause, status, errcode, detail, hash)
             SELECT min(coalesce((SELECT min(l.seq) FROM log AS l), 0), 1) - 1, new.at, r.row, new.seq, {from}, {to},
                    {cause}, new.status, new.errcode, new.detail, new.hash
             FROM request AS r WHERE r.id = new.request_id;
         END;
         CREATE TEMP TRIGGER IF NOT EXISTS change_transition INSTEAD OF UPDATE ON main.transition BEGIN
             UPDATE log SET at = new.at, from_state = {from}, to_state = {to}, detail = new.detail, hash = new.hash
             WHERE {of_row};
         END;
         CREATE TEMP TRIGGER IF NOT EXISTS drop_transition INSTEAD OF DELETE ON main.transition BEGIN
             DELETE FROM log WHERE {of_row};
         END;
         CREATE TEMP TRIGGER IF NOT EXISTS change_outbox INSTEAD OF UPDATE ON main.outbox BEGIN
             UPDATE log SET at = new.at, type = CASE WHEN type IS NULL THEN NULL ELSE new.type END WHERE seq = old.seq;
         END;
         {statements}"
    )
}
