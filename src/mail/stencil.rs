//! What a template gives for everybody, with gaps for what is each one's own: rendering is most of the work of a
//! mail, and a thousand invitations differ in a handful of words. Pure.

use std::ops::RangeInclusive;

/// Marks the gaps while a template is rendered: noncharacters, which nothing that people enter keeps
/// ([`is_unwanted`](super::engine::is_unwanted)).
pub const GAPS: RangeInclusive<char> = '\u{fde0}'..='\u{fdef}';

/// The mark of a gap, by the position of what fills it.
pub fn gap(position: usize) -> char {
    GAPS.clone().nth(position).unwrap_or(*GAPS.end())
}

/// Text with gaps.
pub struct Stencil {
    /// Words, and the position of what fills the gap behind them.
    pieces: Vec<(String, usize)>,
    /// Behind the last gap.
    end: String,
}

impl Stencil {
    /// Cuts a text at the marks in it.
    pub fn cut(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(|character| GAPS.contains(&character)) {
            let (words, from) = rest.split_at(at);
            let mut characters = from.chars();
            let mark = characters.next();
            let position = GAPS.clone().position(|gap| Some(gap) == mark);
            pieces.push((words.to_owned(), position.unwrap_or_default()));
            rest = characters.as_str();
        }
        Self {
            pieces,
            end: rest.to_owned(),
        }
    }

    /// The text with each gap filled by the value of its position, or by nothing if there is none.
    pub fn fill<T: AsRef<str>>(&self, values: &[T]) -> String {
        let value = |position: usize| values.get(position).map_or("", AsRef::as_ref);
        let length = self
            .pieces
            .iter()
            .map(|(words, position)| words.len() + value(*position).len())
            .sum::<usize>();
        let mut text = String::with_capacity(length + self.end.len());
        for (words, position) in &self.pieces {
            text.push_str(words);
            text.push_str(value(*position));
        }
        text.push_str(&self.end);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_by_their_positions() {
        let stencil = Stencil::cut(&format!("a{}b{}{}", gap(1), gap(0), gap(1)));
        assert_eq!(stencil.fill(&["x", "yy"]), "ayybxyy");
        assert_eq!(stencil.fill::<&str>(&[]), "ab");
        assert_eq!(Stencil::cut("").fill(&["x"]), "");
        assert_eq!(Stencil::cut("words").fill(&["x"]), "words");
    }

    #[test]
    fn what_fills_a_gap_makes_none() {
        let stencil = Stencil::cut(&gap(0).to_string());
        let sly = gap(1).to_string();
        assert_eq!(stencil.fill(&[sly.as_str(), "secret"]), sly);
    }
}
