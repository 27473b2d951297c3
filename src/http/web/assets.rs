//! The files that pages load: one stylesheet, one script, htmx and an icon. Their addresses change with their bytes, so that
//! browsers keep them for ever.

use std::{io::Write as _, sync::LazyLock};

use axum::{
    extract::Path,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};
use xxhash_rust::xxh3::xxh3_64;

use crate::http::api::{problem::Problem, word::Word};

/// A file with its name, its type and its bytes.
struct File {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const FILES: [File; 4] = [
    File { name: "style.css", kind: "text/css; charset=utf-8", bytes: include_bytes!("../../../assets/style.css") },
    File { name: "page.js", kind: "text/javascript; charset=utf-8", bytes: include_bytes!("../../../assets/page.js") },
    File { name: "htmx.js", kind: "text/javascript; charset=utf-8", bytes: include_bytes!("../../../assets/htmx.js") },
    File { name: "icon.svg", kind: "image/svg+xml", bytes: include_bytes!("../../../assets/icon.svg") },
];

/// A file as it is sent.
struct Packed {
    file: &'static File,
    digest: String,
    gzip: Vec<u8>,
}

static PACKED: LazyLock<Vec<Packed>> = LazyLock::new(|| FILES.iter().map(Packed::of).collect());

impl Packed {
    fn of(file: &'static File) -> Self {
        let digest = format!("{:016x}", xxh3_64(file.bytes));
        Self { file, digest, gzip: gzip(file.bytes, Compression::best()) }
    }
}

/// Bytes, compressed.
pub(super) fn gzip(bytes: &[u8], level: Compression) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), level);
    // Memory takes every write.
    let _ = gzip.write_all(bytes);
    gzip.finish().unwrap_or_default()
}

/// Whether a browser reads them.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let encodings = headers.get(header::ACCEPT_ENCODING).and_then(|encodings| encodings.to_str().ok());
    let mut names = encodings.unwrap_or_default().split(',').filter_map(|encoding| encoding.split(';').next());
    names.any(|name| name.trim() == "gzip")
}

/// The path of a file below the base, with the digest of its bytes.
pub(super) fn path(name: &str) -> String {
    let packed = PACKED.iter().find(|packed| packed.file.name == name);
    packed.map_or_else(|| format!("/assets/{name}"), |packed| format!("/assets/{}.{name}", packed.digest))
}

/// The icon, where browsers look for it by themselves.
pub(super) async fn icon(headers: HeaderMap) -> Result<Response, Problem> {
    asset(Path("icon.svg".to_owned()), headers).await
}

/// A file by the name that [`path`] gives it; also by its plain one.
pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let of = |packed: &&Packed| {
        name == packed.file.name || name.split_once('.') == Some((packed.digest.as_str(), packed.file.name))
    };
    let packed = PACKED.iter().find(of).ok_or_else(|| Problem::of(Word::NotFound))?;
    let is_named = name != packed.file.name;
    let keep = if is_named { "public, max-age=31536000, immutable" } else { "no-cache" };
    let head =
        [(header::CONTENT_TYPE, packed.file.kind), (header::CACHE_CONTROL, keep), (header::VARY, "Accept-Encoding")];
    if takes_gzip(&headers) {
        return Ok((head, [(header::CONTENT_ENCODING, "gzip")], packed.gzip.as_slice()).into_response());
    }
    Ok((head, packed.file.bytes).into_response())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    fn bytes(name: &str) -> &'static [u8] {
        FILES.iter().find(|file| file.name == name).unwrap().bytes
    }

    #[test]
    fn htmx_is_version_4_0_1_as_it_was_published() {
        let digest = format!("{:x}", Sha256::digest(bytes("htmx.js")));
        assert_eq!(digest, "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130");
    }

    #[test]
    fn what_is_written_by_hand_stays_small() {
        assert!(bytes("style.css").len() <= 20_000, "{} bytes of style", bytes("style.css").len());
        let script = std::str::from_utf8(bytes("page.js")).unwrap();
        assert!(script.lines().count() <= 300, "{} lines of script", script.lines().count());
        let sent: usize = PACKED.iter().map(|packed| packed.gzip.len()).sum();
        assert!(sent <= 40_000, "{sent} bytes are sent");
    }
}
