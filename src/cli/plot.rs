//! Plots of event counts as SVG or PNG files.

use std::path::Path;

use font8x8::{BASIC_FONTS, UnicodeFonts};
use plotters::coord::Shift;
use plotters::prelude::{
    BLACK, BitMapBackend, Color, DrawingArea, DrawingBackend, IntoDrawingArea, IntoFont, PathElement, RGBColor,
    Rectangle, SVGBackend, Text, WHITE,
};

use super::output::{counted, plain};
use super::sparkline::most;
use crate::BoxError;
use crate::projections::metrics::Buckets;
use crate::projections::presenter::{short, topic_text};

const SIZE: (u32, u32) = (960, 360);
/// The area of the bars: left, top, right, bottom.
const AREA: (i32, i32, i32, i32) = (80, 48, 940, 310);
/// The most characters of a topic in the title.
const TITLE: usize = 60;
const BARS: RGBColor = RGBColor(31, 119, 180);

/// How text is drawn.
#[derive(Clone, Copy)]
enum Letters {
    /// As text, in a font of the viewer.
    Text,
    /// As pixels, without a font of this machine.
    Pixels,
}

/// The format of a plot.
#[derive(Clone, Copy, Debug)]
pub(super) enum PlotFormat {
    Svg,
    Png,
}

impl PlotFormat {
    /// The format that the extension of a file names.
    pub(super) fn of(file: &Path) -> Result<Self, BoxError> {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("svg") => Ok(Self::Svg),
            Some("png") => Ok(Self::Png),
            _ => Err(format!(
                "cannot write the plot `{}`: its name must end with .svg or .png",
                plain(&file.to_string_lossy())
            )
            .into()),
        }
    }

    /// Draws a plot, and returns the content of its file.
    pub(super) fn draw(self, buckets: &Buckets) -> Result<Vec<u8>, BoxError> {
        match self {
            Self::Svg => {
                let mut text = String::new();
                draw(buckets, SVGBackend::with_string(&mut text, SIZE).into_drawing_area(), Letters::Text)?;
                Ok(text.into_bytes())
            }
            Self::Png => {
                // The encoder writes only files.
                let folder = tempfile::tempdir()?;
                let file = folder.path().join("plot.png");
                draw(buckets, BitMapBackend::new(&file, SIZE).into_drawing_area(), Letters::Pixels)?;
                Ok(std::fs::read(&file)?)
            }
        }
    }
}

fn draw<B: DrawingBackend>(buckets: &Buckets, area: DrawingArea<B, Shift>, letters: Letters) -> Result<(), BoxError>
where
    B::ErrorType: 'static,
{
    let (left, top, right, bottom) = AREA;
    area.fill(&WHITE)?;
    let most = most(&buckets.buckets);
    let bars = buckets.buckets.len().max(1) as f64;
    let x = |n: usize| left + ((right - left) as f64 * n as f64 / bars).round() as i32;
    let y = |count: u64| bottom - ((bottom - top) as f64 * count as f64 / most as f64).round() as i32;
    for count in [most, most / 2] {
        area.draw(&PathElement::new(vec![(left, y(count)), (right, y(count))], BLACK.mix(0.15)))?;
        write_at(&area, letters, &count.to_string(), (left - 8, y(count) - 6), true)?;
    }
    for (n, bucket) in buckets.buckets.iter().enumerate().filter(|(_, bucket)| bucket.total > 0) {
        let corners = [(x(n), y(bucket.total)), (x(n + 1).max(x(n) + 1) - 1, bottom)];
        area.draw(&Rectangle::new(corners, BARS.filled()))?;
    }
    area.draw(&PathElement::new(vec![(left, bottom), (right, bottom)], BLACK))?;
    let total: u64 = buckets.buckets.iter().map(|bucket| bucket.total).sum();
    let topic = if buckets.topic.as_str().is_empty() { "/".into() } else { topic_text(&buckets.topic) };
    let title = format!(
        "{}: {}, as of position {}",
        plain(&short(&topic, TITLE)),
        counted(total, "event"),
        buckets.head.position
    );
    write_at(&area, letters, &title, (left, 18), false)?;
    if let (Some(first), Some(last)) = (buckets.buckets.first(), buckets.buckets.last()) {
        write_at(&area, letters, &first.from.to_string(), (left, bottom + 12), false)?;
        write_at(&area, letters, &last.until.to_string(), (right, bottom + 12), true)?;
    }
    area.present()?;
    Ok(())
}

/// Draws text with its upper left corner at a point, or its upper right corner if `to_the_left`.
fn write_at<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    letters: Letters,
    text: &str,
    (x, y): (i32, i32),
    to_the_left: bool,
) -> Result<(), BoxError>
where
    B::ErrorType: 'static,
{
    let wide = 8 * i32::try_from(text.chars().count()).unwrap_or(i32::MAX / 16);
    let begin = if to_the_left { x - wide } else { x };
    match letters {
        Letters::Text => {
            area.draw(&Text::new(text.to_owned(), (begin, y), ("monospace", 13.0).into_font()))?;
        }
        Letters::Pixels => {
            for (n, c) in (0..).zip(text.chars()) {
                let letter = BASIC_FONTS.get(c).or_else(|| BASIC_FONTS.get('?')).unwrap_or_default();
                for (line, dots) in (0..).zip(letter) {
                    for column in (0..8).filter(|column| dots & (1 << column) != 0) {
                        let dot = (begin + 8 * n + column, y + line);
                        if dot.0 < i32::try_from(SIZE.0)? {
                            area.draw_pixel(dot, &BLACK)?;
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::LogPosition;
    use crate::projections::metrics::Bucket;

    fn buckets(totals: &[u64]) -> Buckets {
        let time = |n: usize| jiff::Timestamp::from_second(60 * n as i64).unwrap();
        let bucket = |(n, total): (usize, &u64)| Bucket { from: time(n), until: time(n + 1), total: *total };
        Buckets {
            topic: crate::events::Topic::from_segments(["a<script>&", "50% \u{1b}", &"n".repeat(100)]),
            head: LogPosition::default(),
            buckets: totals.iter().enumerate().map(bucket).collect(),
        }
    }

    #[test]
    fn a_plot_is_an_svg_or_a_png_file_with_a_bar_for_each_bucket() {
        let svg = PlotFormat::of(Path::new("plot.svg")).unwrap().draw(&buckets(&[5, 0, 3])).unwrap();
        let text = String::from_utf8(svg).unwrap();
        assert!(text.contains("8 events") && !text.contains("<script>"), "{text}");
        assert!(text.contains("/ 50% \\u{1b} / nnn") && text.contains("n… (") && !text.contains("%25"), "{text}");
        let bars = |text: &str| text.matches("#1F77B4").count();
        assert_eq!(bars(&text), 2);
        let png = PlotFormat::of(Path::new("plot.png")).unwrap();
        assert!(png.draw(&buckets(&[5, 0, 3])).unwrap().starts_with(b"\x89PNG"));
        png.draw(&buckets(&[])).unwrap();
        assert!(PlotFormat::of(Path::new("plot.gif")).unwrap_err().to_string().contains(".svg or .png"));
    }
}
