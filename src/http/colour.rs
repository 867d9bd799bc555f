//! [`Colour`]: the application's colour, adjusted to be readable.

use std::fmt;
use std::str::FromStr;

use crate::text::{from_hex, hex};

/// A colour in CSS notation: `#2d6a9f`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour([u8; 3]);

/// The error for a text that is not a colour.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a colour: write # and six hexadecimal digits, like #2d6a9f")]
pub(super) struct InvalidColour(String);

/// The darkest light background and the lightest dark background of the stylesheet.
const LIGHT: Colour = Colour([0xef, 0xef, 0xec]);
const DARK: Colour = Colour([0x26, 0x26, 0x2a]);
const WHITE: Colour = Colour([0xff; 3]);
const BLACK: Colour = Colour([0; 3]);

/// The minimum contrast of text in WCAG 2.2, level AA.
const MIN_CONTRAST: f64 = 4.5;

impl Default for Colour {
    fn default() -> Self {
        Self([0x1f, 0x5f, 0x8b])
    }
}

impl Colour {
    /// The colour for text on a light background: darkened as far as needed.
    fn on_light(self) -> Self {
        self.towards(BLACK, LIGHT)
    }

    /// The colour for text on a dark background: lightened as far as needed.
    fn on_dark(self) -> Self {
        self.towards(WHITE, DARK)
    }

    fn towards(self, end: Self, background: Self) -> Self {
        let steps = (0..=50).map(|step| self.mixed(end, f64::from(step) / 50.0));
        steps.into_iter().find(|colour| colour.contrast(background) >= MIN_CONTRAST).unwrap_or(end)
    }

    fn mixed(self, other: Self, share: f64) -> Self {
        let mix = |one: u8, other: u8| (f64::from(one) * (1.0 - share) + f64::from(other) * share).round() as u8;
        Self(std::array::from_fn(|n| mix(self.0[n], other.0[n])))
    }

    /// The contrast ratio of WCAG 2.2.
    fn contrast(self, other: Self) -> f64 {
        let (one, other) = (self.luminance() + 0.05, other.luminance() + 0.05);
        (one / other).max(other / one)
    }

    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// The CSS custom properties that the stylesheet uses.
    pub(super) fn properties(self) -> String {
        let (light, dark) = (self.on_light(), self.on_dark());
        format!(
            ":root{{--brand:{self};--accent:{light};--on-accent:{WHITE}}}\n\
             @media(prefers-color-scheme:dark){{:root{{--accent:{dark};--on-accent:{BLACK}}}}}\n"
        )
    }

    /// The colour behind white marks.
    pub(super) fn behind_white(self) -> Self {
        self.on_light()
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", hex(&self.0))
    }
}

impl FromStr for Colour {
    type Err = InvalidColour;

    fn from_str(text: &str) -> Result<Self, InvalidColour> {
        let bytes = text.strip_prefix('#').and_then(from_hex).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| InvalidColour(text.escape_debug().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_colour_becomes_readable_and_a_readable_one_is_unchanged() {
        for colour in ["#000000", "#ffffff", "#ffff00", "#2d5f9a", "#00ff88", "#777777", "#123456"] {
            let colour: Colour = colour.parse().unwrap();
            assert!(
                colour.on_light().contrast(LIGHT) >= MIN_CONTRAST
                    && colour.on_light().contrast(WHITE) >= MIN_CONTRAST
            );
            assert!(
                colour.on_dark().contrast(DARK) >= MIN_CONTRAST && colour.on_dark().contrast(BLACK) >= MIN_CONTRAST
            );
        }
        let blue: Colour = "#1d4f8a".parse().unwrap();
        assert_eq!(blue.on_light(), blue);
        assert!((BLACK.contrast(WHITE) - 21.0).abs() < 1e-9);
    }

    #[test]
    fn a_colour_round_trips_and_other_texts_are_refused() {
        assert_eq!("#2D6a9F".parse::<Colour>().unwrap().to_string(), "#2d6a9f");
        for bad in ["", "2d6a9f", "#2d6a9", "#2d6a9ff", "#+d6a9f", "#é2d6a", "red;}body{display:none"] {
            assert!(bad.parse::<Colour>().is_err(), "{bad}");
        }
    }
}
