//! Reads the small XML of a push: the texts of the root's children, nothing deeper. Whatever the bytes, work and memory
//! grow with their length alone: no entity is expanded, and nothing is fetched.

use quick_xml::{
    Reader,
    events::{BytesRef, Event},
};
use zeroize::Zeroizing;

/// The root, its children, and two levels inside them: no documented push has more.
const DEPTH_MAX: usize = 4;

/// Elements of one document. The longest documented push has fifteen.
const ELEMENTS_MAX: usize = 256;

/// Bytes of an element's name; documented ones have 28 at most.
const NAME_BYTES_MAX: usize = 128;

/// Why a text is not read. It repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::wechat) enum BadXml {
    #[error("it is not XML")]
    Broken,
    #[error("it has a DOCTYPE")]
    DocType,
    #[error("it has an entity that is not one of XML's own five")]
    Entity,
    #[error("it has too many elements, too deep ones, or one with too long a name")]
    TooMuch,
    #[error("an element that must stand there once stands there twice")]
    Twice,
}

/// The texts of the root's children. They may be secrets and are wiped when dropped.
#[derive(Default)]
pub(in crate::wechat) struct Children(Vec<(String, Zeroizing<String>)>);

impl Children {
    /// The text of the child with this name, as it stands: with its blanks and line breaks.
    pub(in crate::wechat) fn one(&self, name: &str) -> Result<Option<&str>, BadXml> {
        let mut texts = self.0.iter().filter(|(found, _)| found == name).map(|(_, text)| text.as_str());
        match (texts.next(), texts.next()) {
            (text, None) => Ok(text),
            (_, Some(_)) => Err(BadXml::Twice),
        }
    }
}

/// The children of the document's root. A child that is never closed is none, and the root need not be: the documented
/// examples of `authorized` end in `<xml>` where `</xml>` is meant
/// (<https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/authorize_event.html>).
pub(in crate::wechat) fn children(text: &str) -> Result<Children, BadXml> {
    let mut reader = Reader::from_str(text);
    let mut reading = Reading::default();
    loop {
        match reader.read_event().map_err(|_| BadXml::Broken)? {
            Event::Start(tag) => reading.open(tag.name().as_ref())?,
            Event::Empty(tag) => {
                reading.open(tag.name().as_ref())?;
                reading.close();
            }
            Event::End(_) => reading.close(),
            Event::Text(text) => reading.add(&text),
            Event::CData(text) => reading.add(&text),
            Event::GeneralRef(entity) => reading.add(character(&entity)?.encode_utf8(&mut [0; 4])),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::DocType(_) => return Err(BadXml::DocType),
            Event::Eof => return Ok(reading.children),
        }
    }
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    children: Children,
    /// Elements that are open: 1 within the root.
    depth: usize,
    elements: usize,
    /// The open child of the root.
    child: Option<(String, Zeroizing<String>)>,
}

impl Reading {
    fn open(&mut self, name: &str) -> Result<(), BadXml> {
        self.depth += 1;
        self.elements += 1;
        if self.depth > DEPTH_MAX || self.elements > ELEMENTS_MAX || name.len() > NAME_BYTES_MAX {
            return Err(BadXml::TooMuch);
        }
        if self.depth == 2 {
            self.child = Some((name.to_owned(), Zeroizing::default()));
        }
        Ok(())
    }

    fn close(&mut self) {
        if self.depth == 2 {
            self.children.0.extend(self.child.take());
        }
        self.depth = self.depth.saturating_sub(1);
    }

    /// Text comes in pieces, between entities and sections.
    fn add(&mut self, text: &str) {
        if let Some((_, kept)) = self.child.as_mut().filter(|_| self.depth == 2) {
            kept.push_str(text);
        }
    }
}

/// One of XML's own five entities, or a character by its number.
fn character(entity: &BytesRef<'_>) -> Result<char, BadXml> {
    match &**entity {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => entity.resolve_char_ref().ok().flatten().ok_or(BadXml::Entity),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(xml: &str) -> Result<Option<String>, BadXml> {
        Ok(children(xml)?.one("a")?.map(str::to_owned))
    }

    fn found(xml: &str) -> String {
        text(xml).unwrap().unwrap()
    }

    #[test]
    fn the_text_of_a_child_is_joined_from_its_pieces() {
        assert_eq!(found("<xml><a>1</a></xml>"), "1");
        assert_eq!(found("<xml><a><![CDATA[1 & <2>]]></a></xml>"), "1 & <2>");
        assert_eq!(found("<xml><a>x&amp;<![CDATA[y]]>&#x41;&#66;&lt;&gt;&quot;&apos;z</a></xml>"), "x&yAB<>\"'z");
        assert_eq!(found("<?xml version=\"1.0\"?>\n<xml z='1'>\n <a>1<!-- no -->2</a>\n</xml>\n"), "12");
        assert_eq!(found("<xml><a>\r\n 1 \n</a></xml>"), "\r\n 1 \n");
        assert_eq!((found("<xml><a></a></xml>"), found("<xml><a/></xml>")), (String::new(), String::new()));
        assert_eq!(found("<xml><b><a>2</a></b><a>1<c>3</c></a></xml>"), "1");
        assert_eq!(text("<xml><A>1</A></xml>"), Ok(None));
    }

    #[test]
    fn an_unclosed_root_and_a_second_one_are_no_error() {
        assert_eq!(found("<xml>\n<a>1</a>\n<xml>\n"), "1");
        assert_eq!(found("<xml><a>1</a>"), "1");
        assert_eq!(text("<xml><a>1"), Ok(None), "a child that is cut off");
        assert_eq!([text(""), text("no xml"), text("<a>1</a>")], [const { Ok(None) }; 3]);
    }

    #[test]
    fn what_expands_or_has_no_end_is_refused() {
        let bomb = "<!DOCTYPE l [<!ENTITY l \"lol\"><!ENTITY m \"&l;&l;\">]><xml><a>&m;</a></xml>";
        assert_eq!(text(bomb), Err(BadXml::DocType));
        assert_eq!(text("<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><xml/>"), Err(BadXml::DocType));
        assert_eq!(text("<xml/><!doctype x>"), Err(BadXml::DocType));
        assert_eq!(text("<xml><a>&lol;</a></xml>"), Err(BadXml::Entity));
        assert_eq!(text("<xml><a>&#0;</a></xml>"), Err(BadXml::Entity));
        assert_eq!(text(&format!("<xml>{}</xml>", "<b/>".repeat(10_000))), Err(BadXml::TooMuch));
        assert_eq!(text(&format!("<xml>{}<a>1</a></xml>", "<b></b>".repeat(254))).map(|a| a.is_some()), Ok(true));
        assert_eq!(text("<xml><a><b><c><d/></c></b></a></xml>"), Err(BadXml::TooMuch));
        assert_eq!(text(&format!("<xml><{}/></xml>", "n".repeat(129))), Err(BadXml::TooMuch));
        assert_eq!(text("<xml><a>1</a><a>2</a></xml>"), Err(BadXml::Twice));
        for broken in ["<xml><a>1</b></xml>", "<xml><a", "</xml>", "<xml><a>1 & 2</a></xml>", "<xml><a><![CDATA[1"] {
            assert_eq!(text(broken), Err(BadXml::Broken), "{broken}");
        }
    }
}
