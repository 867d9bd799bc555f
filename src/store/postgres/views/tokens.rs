//! The words of a statement, as far as one must know them to write it anew: what is quoted or a comment is none.

use std::ops::Range;

/// A piece of a statement that means something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or keyword without quotes, in small letters.
    Word(String),
    /// A quoted name, without its quotes.
    Name(String),
    /// `$1`, `$2`, …
    Parameter(usize),
    /// A text, of whatever quotes, or a number.
    Literal,
    /// Anything else, character by character.
    Sign(char),
}

/// A token, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub token: Token,
    pub at: Range<usize>,
}

impl Placed {
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(&self.token, Token::Word(own) if own == word)
    }

    pub(super) fn is_sign(&self, sign: char) -> bool {
        self.token == Token::Sign(sign)
    }
}

/// The tokens of a statement. What does not end (a quote, a comment) reaches to the end: the database will say so.
pub(super) fn tokens(sql: &str) -> Vec<Placed> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(next) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let (token, length) = match next {
            _ if next.is_whitespace() => (None, next.len_utf8()),
            '-' if rest.starts_with("--") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (None, comment(rest)),
            '\'' => (Some(Token::Literal), quoted(rest, '\'', false)),
            'e' | 'E' if rest[1..].starts_with('\'') => (Some(Token::Literal), 1 + quoted(&rest[1..], '\'', true)),
            '"' => {
                let length = quoted(rest, '"', false);
                let name = rest[1..length].strip_suffix('"').unwrap_or(&rest[1..length]);
                (Some(Token::Name(name.replace("\"\"", "\""))), length)
            }
            '$' => dollar(rest),
            _ if next.is_ascii_digit() => (Some(Token::Literal), run(rest, |c| c.is_ascii_digit() || c == '.')),
            _ if is_word(next) => {
                let length = run(rest, |c| is_word(c) || c.is_ascii_digit() || c == '$');
                (Some(Token::Word(rest[..length].to_lowercase())), length)
            }
            _ => (Some(Token::Sign(next)), next.len_utf8()),
        };
        tokens.extend(token.map(|token| Placed { token, at: at..at + length }));
        at += length;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphabetic() || !c.is_ascii()
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// The length of what is quoted: a doubled quote does not end it, nor one after a backslash where those count.
fn quoted(text: &str, quote: char, backslashes: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && backslashes {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

/// Comments hold comments.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// A parameter, a text between `$tag$` and `$tag$`, or a mere sign.
fn dollar(text: &str) -> (Option<Token>, usize) {
    let digits = run(&text[1..], |c| c.is_ascii_digit());
    if digits > 0 {
        let number = text[1..=digits].parse().unwrap_or(usize::MAX);
        return (Some(Token::Parameter(number)), digits + 1);
    }
    let name = run(&text[1..], |c| is_word(c) || c.is_ascii_digit());
    if text[1 + name..].starts_with('$') {
        let tag = &text[..name + 2];
        let end = text[tag.len()..].find(tag).map_or(text.len(), |end| end + 2 * tag.len());
        return (Some(Token::Literal), end);
    }
    (Some(Token::Sign('$')), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sql: &str) -> String {
        let words = tokens(sql).into_iter().map(|placed| match placed.token {
            Token::Word(word) => word,
            Token::Name(name) => format!("<{name}>"),
            Token::Parameter(number) => format!("${number}"),
            Token::Literal => "#".to_owned(),
            Token::Sign(sign) => sign.to_string(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_quoted_or_a_comment_holds_no_parameter() {
        assert_eq!(of("SELECT $1, 'it''s $2' -- $3\n, $40;"), "select $1 , # , $40 ;");
        assert_eq!(of(r"E'\'$1' e'a''b' 'a\' $2"), "# # # $2");
        assert_eq!(of(r#""a""$1".b /* $1 /* $2 */ $3 */ x"#), r#"<a"$1> . b x"#);
        assert_eq!(of("$$ $1 $$ $t$ $$ $1 $t$ $2 a$1"), "# # $2 a$1");
        assert_eq!(of("1.5+x::TEXT é1"), "# + x : : text é1");
        assert_eq!(of("'open $1"), "#");
        assert_eq!(of("$ é$1$x"), "$ é$1$x");
    }
}
