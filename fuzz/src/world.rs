//! Listings as the simulator writes them under any switches: each is read back whole, and no cut and no single wrong
//! byte makes it shorter.

use amplinkd::{
    sim::{EmptyItems, Flags, FuncInfoKey, Switches, World, advance},
    wechat::CallError,
};

use super::{
    ending::{self, ACCOUNT},
    listing::{cut, read},
};

/// Links in one listing: more show nothing new.
const LINKS_MAX: usize = 6;

/// When the simulated world begins.
const START: i64 = 1_773_100_800_000;

/// Two bytes set the switches, pairs describe links, and what is left says where to hurt the body.
pub fn hold(data: &[u8]) {
    let [switches, seed, rest @ ..] = data else { return };
    let (links, wounds) = rest.split_at(rest.len().min(2 * LINKS_MAX));
    let mut world = World::new(u64::from(*seed));
    world.switches = switched(*switches);
    for link in links.chunks_exact(2) {
        let program = format!("wxbbbb{:012}", link[0]);
        world.link(ACCOUNT, &program, Flags::default(), START + i64::from(link[1]) * 3_600_000);
    }
    let now = START + 255 * 3_600_000;
    advance(&mut world, now);
    let Ok(listing) = world.listing(ACCOUNT, now) else { return };
    let Some(body) = written(&listing.items, &world.switches) else { return };
    let understood = read(&body).unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&body)));
    assert_eq!(understood.items.len(), listing.items.len(), "an item was left out");
    for (ours, theirs) in understood.items.iter().zip(&listing.items) {
        assert_eq!(ours.status.number(), theirs.status());
        assert_eq!(ours.appid.as_deref(), theirs.appid());
        assert_eq!(ours.username.as_deref(), Some(theirs.username()));
    }
    ending::check_listing(&body, &understood);
    cut(&body);
    for wound in wounds.chunks_exact(3) {
        hurt(&body, *wound.first_chunk().unwrap(), understood.items.len());
    }
}

fn switched(bits: u8) -> Switches {
    let on = |bit: u8| bits & (1 << bit) != 0;
    Switches {
        numbers_as_strings: on(0),
        items_have_appid: on(1),
        rejected_items_have_appid: on(2),
        lists_the_account_itself: on(3),
        success_has_errcode: on(4),
        func_info_key: if on(5) { FuncInfoKey::FuncInfo } else { FuncInfoKey::FuncInfos },
        empty_items: if on(6) { EmptyItems::Null } else { EmptyItems::Array },
        ..Switches::default()
    }
}

/// The body, unless it is one that proves nothing: no items and no code.
fn written(items: &[amplinkd::sim::Item], switches: &Switches) -> Option<Vec<u8>> {
    let code = if switches.success_has_errcode { r#""errcode":0,"errmsg":"ok","# } else { "" };
    let open = match (items, &switches.empty_items) {
        ([], _) if !switches.success_has_errcode => return None,
        ([], EmptyItems::Null) => r#"{"items":null}"#.to_owned(),
        (items, _) => format!(r#"{{"items":{}}}"#, serde_json::to_string(items).unwrap()),
    };
    Some(format!(r#"{{{code}"wxopens":{open}}}"#).into_bytes())
}

/// One wrong byte may make a listing unreadable, a refusal, or another one of the same length.
fn hurt(body: &[u8], [high, low, byte]: [u8; 3], items: usize) {
    let mut body = body.to_vec();
    let at = usize::from(u16::from_be_bytes([high, low])) % body.len();
    body[at] = byte;
    match read(&body) {
        Ok(listing) => assert_eq!(listing.items.len(), items, "byte {at} made it {}", String::from_utf8_lossy(&body)),
        Err(CallError::Unreadable(_)) => {}
        Err(CallError::Refused(refusal)) => assert_ne!(refusal.errcode, 0),
        Err(other) => panic!("{other}"),
    }
}
