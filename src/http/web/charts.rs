//! Charts, drawn by the server: numbers as attributes of SVG, nothing that a strict policy forbids. Every chart says in words
//! what it shows.

use askama::Template;

/// Where bars begin, where the longest ends, and how high a row is, in units of the chart: text has 12 of them.
const BARS_FROM: u64 = 92;
const BARS_WIDTH: u64 = 208;
const ROW: u64 = 22;

/// Bars, one below the other, each with its name before it and its count behind it.
#[derive(Template)]
#[template(path = "chart.html")]
pub(super) struct Chart {
    id: String,
    title: String,
    /// What it shows, for whoever does not see it.
    told: String,
    height: u64,
    bars: Vec<Bar>,
}

/// A bar; lengths and places in units of the chart.
struct Bar {
    name: String,
    count: u64,
    middle: u64,
    top: u64,
    from: u64,
    width: u64,
    end: u64,
}

impl Chart {
    /// Of these counts. `id` tells it from other charts of the page.
    pub(super) fn of(id: &str, title: String, counts: &[(String, u64)]) -> Self {
        let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
        let told: Vec<String> = counts.iter().map(|(name, count)| format!("{name}: {count}")).collect();
        let bars = (0..).zip(counts).map(|(row, (name, count))| Bar::of(row, name, *count, most)).collect();
        let height = ROW * u64::try_from(counts.len()).unwrap_or(0);
        Self { id: id.to_owned(), title, told: told.join("; "), height, bars }
    }
}

impl Bar {
    fn of(row: u64, name: &str, count: u64, most: u64) -> Self {
        // Something is seen of anything.
        let width = (count * BARS_WIDTH).div_ceil(most);
        let top = row * ROW;
        let (name, from) = (name.to_owned(), BARS_FROM);
        Self { name, count, middle: top + 15, top: top + 3, from, width, end: from + width + 6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(counts: &[(&str, u64)]) -> String {
        let counts: Vec<_> = counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        Chart::of("c", "Title <b>".to_owned(), &counts).render().unwrap()
    }

    #[test]
    fn the_longest_bar_is_of_the_most_and_one_of_many_can_be_seen() {
        let svg = drawn(&[("1h-4h", 2_000_000), ("4h-12h", 0), ("12h-1d", 1)]);
        let widths: Vec<&str> = svg.split("<rect ").skip(1).map(|rect| rect.split('"').nth(5).unwrap()).collect();
        assert_eq!(widths, ["208", "1"], "nothing is drawn of nothing: {svg}");
        assert!(svg.contains("viewBox=\"0 0 360 66\""), "{svg}");
    }

    #[test]
    fn it_is_told_in_words_and_holds_no_style_and_no_tags_of_others() {
        let svg = drawn(&[("<i>", 3)]);
        assert!(svg.contains("role=\"img\"") && svg.contains(": 3</desc>"), "{svg}");
        assert!(!svg.contains("<b>") && !svg.contains("<i>") && !svg.contains("style="), "{svg}");
        assert!(drawn(&[]).contains("viewBox=\"0 0 360 0\""));
    }
}
