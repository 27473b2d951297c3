//! The cells of the decision table.
//!
//! How to read a cell: `·` nothing moves. A word: it moves there, at once. `2x`: only when two consecutive listings, read
//! at different moments, say so. `late`: only once `appear_within` has passed since the call. `held`: a doubt, however many
//! listings say so. `!`: a conflict of this kind is kept. `account` and `program` are short for `awaiting_account_admin`
//! and `awaiting_program_admin`.

pub(super) const LINK_LISTED: &str = "
a link request is…       | 1      | 12                         | 2                          | 3                          | 3 as before the call       | other | absent                     | absent as asked         | absent beside old          | absent with all | unidentified | weak | unreadable
requested                | linked | account !adopted           | program !adopted           | ·                          | ·                          | ·     | ·                          | ·                       | ·                          | ·               | ·            | ·    | ·
requested again          | linked | account                    | program                    | rejected                   | ·                          | ·     | ·                          | ·                       | ·                          | ·               | ·            | ·    | ·
initiating               | linked | account                    | program                    | rejected                   | late 2x requested          | ·     | late 2x requested          | late 2x requested       | late 2x requested          | held            | ·            | ·    | ·
initiating, last attempt | linked | account                    | program                    | rejected                   | late 2x failed:attempts    | ·     | late 2x failed:attempts    | late 2x failed:attempts | late 2x failed:attempts    | held            | ·            | ·    | ·
initiating, perhaps      | linked | account                    | program                    | rejected                   | late 2x requested          | ·     | late 2x requested          | late 2x requested       | late 2x requested          | held            | ·            | ·    | ·
initiated                | linked | account                    | program                    | rejected                   | late rejected              | ·     | late 2x lapsed             | late 2x lapsed          | late 2x lapsed             | held            | ·            | ·    | ·
account                  | linked | ·                          | program                    | rejected                   | late rejected              | ·     | 2x lapsed                  | 2x lapsed               | 2x lapsed                  | held            | ·            | ·    | ·
program                  | linked | 2x account !backward       | ·                          | rejected                   | late rejected              | ·     | 2x lapsed                  | 2x lapsed               | 2x lapsed                  | held            | ·            | ·    | ·
program by 89035         | linked | 2x account !backward       | ·                          | rejected                   | late rejected              | ·     | late 2x lapsed             | late 2x lapsed          | late 2x lapsed             | held            | ·            | ·    | ·
deferred                 | linked | account !adopted           | program !adopted           | ·                          | ·                          | ·     | ·                          | ·                       | ·                          | ·               | ·            | ·    | ·
deferred again           | linked | account                    | program                    | rejected                   | ·                          | ·     | ·                          | ·                       | ·                          | ·               | ·            | ·    | ·
linked                   | ·      | 2x unlinked !vanished      | 2x unlinked !vanished      | 2x unlinked !vanished      | 2x unlinked !vanished      | ·     | 2x unlinked !vanished      | 2x unlinked             | 2x unlinked !vanished      | held            | ·            | ·    | ·
linked by 89015          | ·      | late 2x unlinked !vanished | late 2x unlinked !vanished | late 2x unlinked !vanished | late 2x unlinked !vanished | ·     | late 2x unlinked !vanished | late 2x unlinked        | late 2x unlinked !vanished | held            | ·            | ·    | ·
ended                    | ·      | ·                          | ·                          | ·                          | ·                          | ·     | ·                          | ·                       | ·                          | ·               | ·            | ·    | ·
";

pub(super) const UNLINK_LISTED: &str = "
an unlink request is…    | 1                       | 12                      | 2                       | 3           | 3 as before the call | other | absent      | absent as asked | absent beside old | absent with all | unidentified | weak | unreadable
requested                | ·                       | ·                       | ·                       | 2x unlinked | 2x unlinked          | ·     | 2x unlinked | 2x unlinked     | 2x unlinked       | held            | ·            | ·    | ·
requested again          | ·                       | ·                       | ·                       | 2x unlinked | 2x unlinked          | ·     | 2x unlinked | 2x unlinked     | 2x unlinked       | held            | ·            | ·    | ·
initiating               | late 2x requested       | late 2x requested       | late 2x requested       | 2x unlinked | 2x unlinked          | ·     | 2x unlinked | 2x unlinked     | 2x unlinked       | held            | ·            | ·    | ·
initiating, last attempt | late 2x failed:attempts | late 2x failed:attempts | late 2x failed:attempts | 2x unlinked | 2x unlinked          | ·     | 2x unlinked | 2x unlinked     | 2x unlinked       | held            | ·            | ·    | ·
initiating, perhaps      | late 2x requested       | late 2x requested       | late 2x requested       | 2x unlinked | 2x unlinked          | ·     | 2x unlinked | 2x unlinked     | 2x unlinked       | held            | ·            | ·    | ·
initiated                | ·                       | 2x unlinked             | 2x unlinked             | 2x unlinked | 2x unlinked          | ·     | 2x unlinked | 2x unlinked     | 2x unlinked       | held            | ·            | ·    | ·
deferred                 | ·                       | ·                       | ·                       | 2x unlinked | 2x unlinked          | ·     | 2x unlinked | 2x unlinked     | 2x unlinked       | held            | ·            | ·    | ·
ended                    | ·                       | ·                       | ·                       | ·           | ·                    | ·     | ·           | ·               | ·                 | ·               | ·            | ·    | ·
";

pub(super) const LINK_ELSE: &str = "
a link request is…       | call started | call accepted | call lost          | call not sent | held back     | quota reset, early | quota reset, due | opened by hand | deadline        | cancel
requested                | initiating   | initiated     | ·                  | ·             | deferred      | ·                  | ·                | ·              | failed:deadline | cancelled
requested again          | initiating   | initiated     | ·                  | ·             | deferred      | ·                  | ·                | ·              | failed:deadline | cancelled
initiating               | ·            | initiated     | initiating:unknown | requested     | ·             | ·                  | ·                | ·              | failed:deadline | cancelled
initiating, last attempt | ·            | initiated     | initiating:unknown | requested     | ·             | ·                  | ·                | ·              | failed:deadline | cancelled
initiating, perhaps      | ·            | initiated     | ·                  | requested     | ·             | ·                  | ·                | ·              | failed:deadline | cancelled
initiated                | ·            | ·             | ·                  | ·             | ·             | ·                  | ·                | ·              | lapsed          | cancelled
account                  | ·            | ·             | ·                  | ·             | ·             | ·                  | ·                | ·              | lapsed          | cancelled
program                  | ·            | ·             | ·                  | ·             | ·             | ·                  | ·                | ·              | lapsed          | cancelled
deferred                 | ·            | ·             | ·                  | ·             | deferred anew | ·                  | requested        | requested      | failed:deadline | cancelled
linked                   | ·            | ·             | ·                  | ·             | ·             | ·                  | ·                | ·              | ·               | ·
linked by 89015          | ·            | ·             | ·                  | ·             | ·             | ·                  | ·                | ·              | ·               | ·
ended                    | ·            | ·             | ·                  | ·             | ·             | ·                  | ·                | ·              | ·               | ·
";

pub(super) const UNLINK_ELSE: &str = "
an unlink request is…    | call started | call accepted | call lost          | call not sent | held back     | quota reset, early | quota reset, due | opened by hand | deadline        | cancel
requested                | initiating   | initiated     | ·                  | ·             | deferred      | ·                  | ·                | ·              | failed:deadline | cancelled
requested again          | initiating   | initiated     | ·                  | ·             | deferred      | ·                  | ·                | ·              | failed:deadline | cancelled
initiating               | ·            | initiated     | initiating:unknown | requested     | ·             | ·                  | ·                | ·              | failed:deadline | cancelled
initiating, last attempt | ·            | initiated     | initiating:unknown | requested     | ·             | ·                  | ·                | ·              | failed:deadline | cancelled
initiating, perhaps      | ·            | initiated     | ·                  | requested     | ·             | ·                  | ·                | ·              | failed:deadline | cancelled
initiated                | ·            | ·             | ·                  | ·             | ·             | ·                  | ·                | ·              | lapsed          | cancelled
deferred                 | ·            | ·             | ·                  | ·             | deferred anew | ·                  | requested        | requested      | failed:deadline | cancelled
ended                    | ·            | ·             | ·                  | ·             | ·             | ·                  | ·                | ·              | ·               | ·
";

/// By code; a call is answered in `initiating`, and in `requested` when its answer comes after the list was believed.
pub(super) const REFUSED: &str = "
a call is refused with…                   | link, initiating                  | link, requested                   | unlink, initiating            | unlink, requested             | anything later
89010                                     | initiated !invitation_already_out | initiated !invitation_already_out | initiating:unknown            | ·                             | ·
89035                                     | program !linking_from_console     | program !linking_from_console     | initiating:unknown            | ·                             | ·
89015                                     | linked !already_linked            | linked !already_linked            | initiating:unknown            | ·                             | ·
89018                                     | initiating:unknown                | ·                                 | initiated !unlink_already_out | initiated !unlink_already_out | ·
89007, 89016, 89017, 89030                | deferred                          | deferred                          | deferred                      | deferred                      | ·
1003, 1005, 89008, 89009                  | failed:refused                    | failed:refused                    | failed:refused                | failed:refused                | ·
89011, 89012, 89013                       | failed:refused                    | failed:refused                    | failed:refused                | failed:refused                | ·
41001, 43002, 44002, 47001                | failed:our_bug                    | failed:our_bug                    | failed:our_bug                | failed:our_bug                | ·
40001, 40014, 42001                       | requested                         | ·                                 | requested                     | ·                             | ·
42007, 50001, 61003, 61023                | requested                         | ·                                 | requested                     | ·                             | ·
48001, 61007                              | requested                         | ·                                 | requested                     | ·                             | ·
48004, 50002, 50004                       | requested                         | ·                                 | requested                     | ·                             | ·
40164, 61004                              | requested                         | ·                                 | requested                     | ·                             | ·
45009, 45011                              | requested                         | ·                                 | requested                     | ·                             | ·
-1                                        | initiating:unknown                | ·                                 | initiating:unknown            | ·                             | ·
any other code                            | initiating:unknown                | ·                                 | initiating:unknown            | ·                             | ·
";

/// Either kind of request, by what became of it after the copy was made.
pub(super) const RESTORED: &str = "
a copy is put back; since then a request was… | perhaps called     | called             | taken     | cancelled
requested                                     | initiating:perhaps | initiating:unknown | initiated | cancelled
requested again                               | initiating:perhaps | initiating:unknown | initiated | cancelled
initiating                                    | initiating:unknown | initiating:unknown | initiated | cancelled
initiating, last attempt                      | initiating:unknown | initiating:unknown | initiated | cancelled
initiating, perhaps                           | ·                  | initiating:unknown | initiated | cancelled
initiated                                     | ·                  | ·                  | ·         | cancelled
account                                       | ·                  | ·                  | ·         | cancelled
program                                       | ·                  | ·                  | ·         | cancelled
program by 89035                              | ·                  | ·                  | ·         | cancelled
deferred                                      | ·                  | initiating:unknown | initiated | cancelled
deferred, due                                 | initiating:perhaps | initiating:unknown | initiated | cancelled
linked                                        | ·                  | ·                  | ·         | ·
linked by 89015                               | ·                  | ·                  | ·         | ·
ended                                         | ·                  | ·                  | ·         | ·
";

/// The tables with their titles, in the order they are printed.
pub(super) const TABLES: [(&str, &str); 6] = [
    ("A listing, for a request to link", LINK_LISTED),
    ("A listing, for a request to unlink", UNLINK_LISTED),
    ("Everything else, for a request to link", LINK_ELSE),
    ("Everything else, for a request to unlink", UNLINK_ELSE),
    ("A refused call", REFUSED),
    ("A copy of the database that is put back", RESTORED),
];
