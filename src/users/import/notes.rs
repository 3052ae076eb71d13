//! What of a file's records is worth another look, though nothing was refused for it. Pure.

use crate::users::csv::{Row, columns::Names, told::Warning};

/// Examples that a warning gives.
const MOST: usize = 3;

/// One text of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Example {
    pub(super) text: String,
    pub(super) line: u32,
    /// The line whose text looks like it.
    pub(super) like: Option<u32>,
}

/// The first examples of a kind, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Examples {
    first: Vec<Example>,
    count: usize,
}

impl Examples {
    pub(super) fn extend(&mut self, examples: impl IntoIterator<Item = Example>) {
        for example in examples {
            self.count += 1;
            if self.first.len() < MOST {
                self.first.push(example);
            }
        }
    }

    fn add(&mut self, other: Self) {
        let more = other.count - other.first.len();
        self.extend(other.first);
        self.count += more;
    }

    /// `` `A, B` (line 2), `C, D` (line 3) and 4 more ``.
    fn listed(&self) -> Option<String> {
        let shown: Vec<String> = self.first.iter().map(Example::shown).collect();
        let more = match self.count - self.first.len() {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        (!shown.is_empty()).then(|| format!("{}{more}", shown.join(", ")))
    }
}

impl Example {
    fn shown(&self) -> String {
        let text: String = self.text.chars().take(100).collect();
        match self.like {
            Some(other) => format!("`{text}` (line {}) and the one in line {other}", self.line),
            None => format!("`{text}` (line {})", self.line),
        }
    }
}

/// What is told of a file's records at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Notes {
    /// Names that look like others.
    pub(super) alike: Examples,
    /// Names to show that hold a comma, in a column that is called so.
    commas: Examples,
    column: String,
    /// Groups whose names may be several.
    groups: Examples,
}

/// The codes of the warnings.
const CODES: [&str; 3] = [
    "names_look_alike",
    "name_has_comma",
    "group_looks_like_list",
];

impl Notes {
    /// Takes what is odd about a record. `names` are those of the columns.
    pub(super) fn look_at(&mut self, row: &Row, names: &Names) {
        let user = &row.user;
        let shown = user.display_name.as_ref().map(|name| name.as_str());
        if let Some(name) = shown
            && name.contains([',', '，'])
            && user.first_name.is_none()
            && user.last_name.is_none()
            && let Some(column) = names.column_of("display_name")
        {
            self.column = column.to_owned();
            self.commas.extend([example(name, row.line)]);
        }
        let odd = row
            .groups
            .iter()
            .filter(|name| name.contains([',', '|', '、']));
        for name in odd {
            let is_new = self.groups.first.iter().all(|known| known.text != *name);
            self.groups.extend(is_new.then(|| example(name, row.line)));
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.alike.add(other.alike);
        self.commas.add(other.commas);
        self.groups.add(other.groups);
        if !other.column.is_empty() {
            self.column = other.column;
        }
    }

    /// Whether a warning is one of these.
    pub(super) fn are(warning: &Warning) -> bool {
        CODES.contains(&warning.code)
    }

    pub(super) fn warnings(&self) -> Vec<Warning> {
        let details = [
            self.alike.listed().map(|listed| {
                format!("names look alike, but are not the same: {listed}; if they are one person's, type them anew")
            }),
            self.commas.listed().map(|listed| {
                let hint = Warning::last_and_first(&self.column);
                format!(
                    "people are shown and greeted as they stand in `{}`: {listed}; if that is last and first names, say so \
                     with {hint}",
                    self.column
                )
            }),
            self.groups.listed().map(|listed| {
                format!("the name of one group may be several: {listed}; groups are separated with `;`")
            }),
        ];
        let warnings = CODES.into_iter().zip(details);
        warnings
            .filter_map(|(code, detail)| Some(Warning::new(code, detail?)))
            .collect()
    }
}

fn example(text: &str, line: u32) -> Example {
    Example {
        text: text.to_owned(),
        line,
        like: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_examples_are_told_and_all_are_counted() {
        let of = |lines: std::ops::Range<u32>| {
            let mut notes = Notes::default();
            notes.alike.extend(lines.map(|line| Example {
                like: Some(1),
                ..example("x", line)
            }));
            notes
        };
        assert_eq!(Notes::default().warnings(), []);
        let mut notes = of(2..4);
        notes.add(of(4..9));
        notes.add(Notes::default());
        let told = notes.warnings();
        assert_eq!(told.len(), 1);
        assert_eq!(
            told[0].detail,
            "names look alike, but are not the same: `x` (line 2) and the one in line 1, `x` (line 3) and the one in line 1, \
             `x` (line 4) and the one in line 1, and 4 more; if they are one person's, type them anew"
        );
    }
}
