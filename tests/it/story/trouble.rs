//! Stories of trouble: codes, lost answers, tokens, accounts that are shut out, bad rows and bad clocks.

mod codes;

mod emptied;

mod lists;

mod long;

mod lost;

mod odd;

mod people;

mod standing;

mod weak;
