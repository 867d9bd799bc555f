//! Times, numbers, references and topics as HTML. Every text is escaped, and control characters are made visible.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::site::Site;
use crate::events::{Ref, Topic};
use crate::projections::presenter::{
    Phrase, Piece, SHORT_NAME, SHORT_SENTENCE, Thing, plain, segment_text, short, topic_text,
};

/// A time in UTC. The script shows it in the reader's time zone, with the offset, and leaves UTC in the title. `precision`:
/// `second` or `minute`.
pub(super) fn time(time: Timestamp, precision: &str) -> Markup {
    html! { time datetime=(time) title=(utc(time, "%Y-%m-%d %H:%M:%S%.f UTC")) data-precision=(precision) { (utc(time, match precision {
        "minute" => "%Y-%m-%d %H:%M UTC",
        _ => "%Y-%m-%d %H:%M:%S UTC",
    })) } }
}

/// A time range in UTC.
pub(super) fn range(from: Timestamp, until: Timestamp) -> String {
    format!("{} – {}", utc(from, "%Y-%m-%d %H:%M:%S UTC"), utc(until, "%Y-%m-%d %H:%M:%S UTC"))
}

/// A time in UTC, in this `strftime` format.
pub(super) fn utc(time: Timestamp, format: &str) -> String {
    time.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

/// A number with thousands separators: `1,234,567`.
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut written = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            written.push(',');
        }
        written.push(digit);
    }
    written
}

/// A rate, with two significant decimals.
pub(super) fn rate(rate: f64) -> String {
    match rate {
        rate if rate >= 10.0 => number(rate.round() as u64),
        rate if rate >= 1.0 => format!("{rate:.1}"),
        rate if rate >= 0.01 => format!("{rate:.2}"),
        rate if rate > 0.0 => "less than 0.01".to_owned(),
        _ => "0".to_owned(),
    }
}

/// A count with its noun: `1 event`, `2 events`.
pub(super) fn many(count: u64, one: &str) -> String {
    format!("{} {one}{}", number(count), if count == 1 { "" } else { "s" })
}

/// Untrusted text: shortened, control characters are shown escaped, and its text direction is isolated.
pub(super) fn given(text: &str) -> Markup {
    html! { bdi { (plain(&short(text, SHORT_SENTENCE))) } }
}

/// An object by its display name, with a link to its history.
pub(super) fn thing(site: &Site, thing: &Thing) -> Markup {
    let reference = thing.reference.as_str();
    html! { a href=(site.history(&thing.reference)) title=(plain(reference)) { bdi { (plain(&short(&thing.label(), SHORT_NAME))) } } }
}

/// A reference, with a link to the object's history.
pub(super) fn reference(site: &Site, reference: &Ref) -> Markup {
    html! { a.ref href=(site.history(reference)) { bdi { (plain(&short(reference.as_str(), SHORT_NAME))) } } }
}

/// A sentence. Its objects link to their histories.
pub(super) fn phrase(site: &Site, phrase: &Phrase) -> Markup {
    html! {
        @for piece in &phrase.0 {
            @match piece {
                Piece::Text(text) => (plain(text)),
                Piece::Value(value) => (given(value)),
                Piece::Thing(one) => (thing(site, one)),
            }
        }
    }
}

/// A topic as text.
pub(super) fn topic(topic: &Topic) -> Markup {
    given(&topic_text(topic))
}

/// A topic. Each segment links to `link` of its path.
pub(super) fn crumbs(topic: &Topic, link: impl Fn(&str) -> String) -> Markup {
    let steps: Vec<(&str, &str)> = topic.with_ancestors().skip(1).zip(topic.segments()).collect();
    html! {
        span.crumbs {
            @for (n, (path, segment)) in steps.iter().enumerate() {
                @if n > 0 { " / " }
                a href=(link(path)) { bdi { (plain(&short(&segment_text(segment), SHORT_NAME))) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators_and_rates_few_digits() {
        for (given, written) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(given), written);
        }
        assert_eq!((many(1, "event"), many(1_200, "event")), ("1 event".into(), "1,200 events".into()));
        assert_eq!(
            [0.0, 0.002, 0.01234, 2.345, 12_345.6].map(rate),
            ["0", "less than 0.01", "0.01", "2.3", "12,346"]
        );
    }

    #[test]
    fn a_time_is_rendered_in_utc() {
        let at: Timestamp = "2026-01-31T10:00:00.5Z".parse().unwrap();
        let written = time(at, "second").into_string();
        assert_eq!(
            written,
            "<time datetime=\"2026-01-31T10:00:00.5Z\" title=\"2026-01-31 10:00:00.5 UTC\" data-precision=\"second\">\
             2026-01-31 10:00:00 UTC</time>"
        );
    }

    #[test]
    fn ranges_and_minutes_have_their_zone_too() {
        let [from, until] = ["2026-01-31T10:00:00Z", "2026-01-31T11:30:00Z"].map(|at| at.parse().unwrap());
        assert_eq!(range(from, until), "2026-01-31 10:00:00 UTC – 2026-01-31 11:30:00 UTC");
        assert!(time(from, "minute").into_string().ends_with(">2026-01-31 10:00 UTC</time>"));
    }

    #[test]
    fn a_topic_is_shown_with_the_signs_that_its_segments_have() {
        let files = Topic::from_segments(["files", "50% a/b"]);
        assert_eq!(topic(&files).into_string(), "<bdi>files / 50% a/b</bdi>");
        let steps = crumbs(&files, |path| format!("?{path}")).into_string();
        assert!(steps.contains("<a href=\"?files/50%25 a%2Fb\"><bdi>50% a/b</bdi></a>"), "{steps}");
    }

    /// A long name has no room for others on its line.
    #[test]
    fn long_names_and_texts_are_cut_wherever_they_are_shown() {
        let name = "n".repeat(1_000);
        let site = Site::for_tests();
        let named = Thing { reference: Ref::new("user", "1").unwrap(), name: Some(name.clone()) };
        let long = Ref::new("user", &name).unwrap();
        for shown in [
            thing(&site, &named).into_string(),
            reference(&site, &long).into_string(),
            crumbs(&Topic::from_segments([&name]), |_| String::new()).into_string(),
            given(&name).into_string(),
        ] {
            let text = shown.split("<bdi>").nth(1).unwrap();
            assert!(text.len() < SHORT_SENTENCE + 80 && text.contains("nnn… ("), "{text}");
        }
        let hostile = Thing { name: Some("\u{202e}".to_owned()), ..named };
        assert!(thing(&site, &hostile).into_string().contains("<bdi>\\u{202e}</bdi>"));
    }

    #[test]
    fn untrusted_text_is_escaped() {
        assert_eq!(given("<b>\u{202e}\u{1b}").into_string(), "<bdi>&lt;b&gt;\\u{202e}\\u{1b}</bdi>");
    }
}
