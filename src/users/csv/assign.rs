//! What each column of a file becomes: as the caller says, else by its own name, else by a synonym. Pure.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::{
    folded::{Folded, key},
    known::{ATTRIBUTE, Column, Known, is_status},
    mapping::ColumnMap,
    passwords::is_password,
    synonyms::{field_of, is_bare_name, is_family_given, near},
    told::Warning,
};
use crate::{model::wire::Flaw, users::attributes::attribute_name};

/// What is wrong with a first line in which no column says who somebody is.
pub(super) const NO_PEOPLE: &str =
    "the first line must name the columns, and one of them must be `username` or `email`";

/// Columns that a fault lists.
const MOST_SHOWN: usize = 100;

/// What became of the columns.
pub(super) struct Assigned {
    pub(super) columns: Vec<Column>,
    pub(super) warnings: Vec<Warning>,
}

/// A flaw, and the column that it is about.
type Placed = (Option<String>, Flaw);

/// The columns while they are looked at, those first about which there is no doubt.
struct Assigning<'a> {
    names: &'a [String],
    shown: &'a [String],
    folded: Vec<Folded>,
    columns: Vec<Option<Column>>,
    /// What the caller gave a column.
    asked: Vec<Known>,
    warnings: Vec<Warning>,
    flaws: Vec<Placed>,
}

/// Decides about the columns called `names`. `shown` are the same as faults show them.
///
/// # Errors
/// Every column that is wrong; two for one field; that nobody could be known by.
pub(super) fn assign(
    names: &[String],
    shown: &[String],
    asked: &ColumnMap,
) -> Result<Assigned, Vec<Placed>> {
    let mut all = Assigning {
        names,
        shown,
        folded: names.iter().map(|name| Folded::of(name)).collect(),
        columns: vec![None; names.len()],
        asked: Vec::new(),
        warnings: Vec::new(),
        flaws: Vec::new(),
    };
    let unknown = all.as_asked(asked);
    all.leave_passwords();
    all.by_own_names();
    all.by_synonyms();
    all.names_of_people();
    all.attributes();
    all.find_repeated();
    all.complain_of(unknown);
    all.need_a_name();
    if !all.flaws.is_empty() {
        return Err(all.flaws);
    }
    Ok(Assigned {
        columns: all.columns.into_iter().flatten().collect(),
        warnings: all.warnings,
    })
}

impl Assigning<'_> {
    /// Those about which nothing is decided yet.
    fn open(&self) -> Vec<usize> {
        let all = 0..self.names.len();
        all.filter(|index| self.columns[*index].is_none()).collect()
    }

    fn has(&self, known: Known) -> bool {
        self.columns
            .iter()
            .flatten()
            .any(|column| column.fields().contains(&known))
    }

    fn warn(&mut self, code: &'static str, detail: String) {
        self.warnings.push(Warning::new(code, detail));
    }

    /// Takes what the caller says; gives the columns that the file has not.
    fn as_asked(&mut self, asked: &ColumnMap) -> Vec<String> {
        let mut unknown = Vec::new();
        for (name, column) in asked.entries() {
            let same = |index: &usize| self.names[*index] == name || self.shown[*index] == name;
            let mut places: Vec<usize> = (0..self.names.len()).filter(same).collect();
            if places.is_empty() {
                let whole = key(name);
                places = self.open();
                places.retain(|index| self.folded[*index].whole == whole);
            }
            let is_known = match places.as_slice() {
                [] => false,
                [_] => true,
                [first, ..] => self.names[*first] == name || self.shown[*first] == name,
            };
            if !is_known {
                unknown.push(name.to_owned());
                continue;
            }
            self.asked.extend(column.fields());
            for index in places {
                self.columns[index] = Some(column.clone());
            }
        }
        unknown
    }

    /// A column named like a password becomes `password` or nothing.
    fn leave_passwords(&mut self) {
        for index in 0..self.names.len() {
            let name = &self.names[index];
            let bare = name.strip_prefix(ATTRIBUTE).unwrap_or(name);
            if !is_password(&Folded::of(bare)) {
                continue;
            }
            let is_field = match &self.columns[index] {
                Some(Column::Known(Known::Password) | Column::Left) => continue,
                Some(_) => false,
                None => {
                    let is_own = self.folded[index].whole == key(Known::Password.as_str());
                    is_own && !self.has(Known::Password)
                }
            };
            if is_field {
                self.columns[index] = Some(Column::Known(Known::Password));
                continue;
            }
            self.columns[index] = Some(Column::Left);
            let shown = &self.shown[index];
            let hint = columns_of([(shown.as_str(), Known::Password)]);
            self.warn(
                "password_like_column",
                format!(
                    "the column `{shown}` is not stored, because it looks like a password; if it holds the passwords \
                     of the users, say so with {hint}"
                ),
            );
        }
    }

    /// Takes the columns that have a field's own name, unless the caller gave it another one, and those of an export.
    fn by_own_names(&mut self) {
        for index in self.open() {
            let whole = &self.folded[index].whole;
            self.columns[index] = match Known::of_key(whole) {
                _ if self.names[index].starts_with(ATTRIBUTE) => None,
                Some(known) if !self.asked.contains(&known) => Some(Column::Known(known)),
                None if is_status(whole) => Some(Column::Left),
                _ => None,
            };
        }
    }

    /// Takes the only synonym of a field that has no column yet.
    fn by_synonyms(&mut self) {
        let mut doubtful: Vec<(Known, Vec<usize>)> = Vec::new();
        for known in Known::ALL {
            if self.has(known) {
                continue;
            }
            let mut places = self.open();
            places.retain(|index| {
                !self.names[*index].starts_with(ATTRIBUTE)
                    && !is_family_given(&self.names[*index])
                    && field_of(&self.folded[*index]) == Some(known)
            });
            match places.as_slice() {
                [] => {}
                [first, others @ ..]
                    if others
                        .iter()
                        .all(|other| self.names[*other] == self.names[*first]) =>
                {
                    for index in places {
                        self.columns[index] = Some(Column::Known(known));
                    }
                }
                _ => doubtful.push((known, places)),
            }
        }
        self.refuse_doubtful(&doubtful);
    }

    fn refuse_doubtful(&mut self, doubtful: &[(Known, Vec<usize>)]) {
        let shown = self.shown;
        let first = doubtful
            .iter()
            .map(|(known, places)| (shown[places[0]].as_str(), *known));
        let hint = columns_of(first);
        for (known, places) in doubtful {
            let names: Vec<String> = places
                .iter()
                .map(|index| format!("`{}`", shown[*index]))
                .collect();
            self.flaws.push((
                Some(shown[places[0]].clone()),
                Flaw::new(
                    "ambiguous_columns",
                    format!(
                        "the columns {} {} mean `{}`; say which one it is, as with {hint}, and the others become \
                         attributes",
                        names.join(" and "),
                        if names.len() == 2 { "both" } else { "all" },
                        known.as_str()
                    ),
                ),
            ));
            for index in places {
                self.columns[*index] = Some(Column::Known(*known));
            }
        }
    }

    /// `Last name, First name`, and names such as `Name`, `Nom` and `Nombre`, which are what the file has no other
    /// column for: beside a first name the last one, beside a last name the first one, else the whole.
    fn names_of_people(&mut self) {
        let mut places = self.open();
        places.retain(|index| is_family_given(&self.names[*index]));
        let has_names = |all: &Self| (all.has(Known::FirstName), all.has(Known::LastName));
        if let [index] = places.as_slice()
            && has_names(self) == (false, false)
        {
            self.columns[*index] = Some(Column::FamilyGiven);
        }
        let mut places = self.open();
        places.retain(|index| is_bare_name(self.folded[*index].bare()));
        let known = match has_names(self) {
            (true, false) => Known::LastName,
            (false, true) => Known::FirstName,
            _ => Known::DisplayName,
        };
        match places.as_slice() {
            _ if self.has(known) => {}
            [] => {}
            [index] => self.columns[*index] = Some(Column::Known(known)),
            _ => self.refuse_doubtful(&[(known, places)]),
        }
    }

    /// All others keep their names.
    fn attributes(&mut self) {
        for index in self.open() {
            let (name, shown) = (&self.names[index], self.shown[index].clone());
            let prefixed = name.strip_prefix(ATTRIBUTE);
            match attribute_name(prefixed.unwrap_or(name)) {
                Ok(attribute) => self.columns[index] = Some(Column::Attribute(attribute)),
                Err(_) if name.is_empty() => {
                    self.columns[index] = Some(Column::Nameless);
                    continue;
                }
                Err(flaw) => {
                    self.flaws.push((Some(shown), flaw));
                    continue;
                }
            }
            if prefixed.is_none()
                && let Some(known) = self.alike(index)
            {
                let hint = columns_of([(shown.as_str(), known)]);
                self.warn(
                    "looks_like",
                    format!(
                        "the column `{shown}` looks like `{}`, but is kept as an attribute; if it is that, say so with \
                         {hint}",
                        known.as_str()
                    ),
                );
            }
        }
    }

    /// The field that a column looks like without being taken as it.
    fn alike(&self, index: usize) -> Option<Known> {
        let folded = &self.folded[index];
        let speaks_of_mail = || {
            let words = ["mail", "courriel", "correo", "メール"];
            // A first line of data is nobody's to show.
            let is_name = !self.names[index].contains(|c: char| c == '@' || c.is_ascii_digit());
            is_name && words.iter().any(|word| folded.whole.contains(word))
        };
        field_of(folded)
            .or_else(|| Known::of_key(&folded.whole))
            .or_else(|| near(folded))
            .or_else(|| (!self.has(Known::Email) && speaks_of_mail()).then_some(Known::Email))
    }

    fn find_repeated(&mut self) {
        for index in 0..self.columns.len() {
            let column = &self.columns[index];
            if matches!(column, None | Some(Column::Left | Column::Nameless)) {
                continue;
            }
            let mut before = self.columns[..index].iter();
            let is_refused = self
                .flaws
                .iter()
                .any(|(_, flaw)| flaw.code == "ambiguous_columns");
            if !is_refused && let Some(first) = before.position(|other| other == column) {
                let detail = format!("columns {} and {} mean the same", first + 1, index + 1);
                let flaw = Flaw::new("repeated_column", detail);
                self.flaws.push((Some(self.shown[index].clone()), flaw));
            }
        }
    }

    /// Names the columns that there are, but only of what plainly is a header.
    fn complain_of(&mut self, unknown: Vec<String>) {
        let is_header = self.has(Known::Username) || self.has(Known::Email);
        for name in unknown {
            let mut detail = "the file has no such column".to_owned();
            if is_header {
                let first = self.shown.iter().take(MOST_SHOWN);
                let names: Vec<String> = first.map(|name| format!("`{name}`")).collect();
                detail.push_str(&format!("; it has {}", names.join(", ")));
            }
            let shown = name.chars().take(100).collect();
            self.flaws
                .push((Some(shown), Flaw::new("unknown_column", detail)));
        }
    }

    fn need_a_name(&mut self) {
        if !self.has(Known::Username) && !self.has(Known::Email) {
            let alike = |warning: &&Warning| warning.code == "looks_like";
            let hints = self.warnings.iter().filter(alike);
            let hints: String = hints
                .map(|warning| format!("; {}", warning.detail))
                .collect();
            self.flaws.push((
                None,
                Flaw::new("missing_column", format!("{NO_PEOPLE}{hints}")),
            ));
        }
        let named = [Known::FirstName, Known::LastName, Known::DisplayName];
        if !named.iter().any(|known| self.has(*known)) {
            self.warn(
                "no_name_column",
                "no column has the names of people, so they are shown and greeted by their usernames".to_owned(),
            );
        }
    }
}

/// What to say that columns are: ready for a URL, and to be read.
fn columns_of<'a>(fields: impl IntoIterator<Item = (&'a str, Known)>) -> String {
    let object: Map<String, Value> = fields
        .into_iter()
        .map(|(name, known)| (name.to_owned(), Value::from(known.as_str())))
        .collect();
    let object = Value::Object(object).to_string();
    format!(
        "columns={} ({object})",
        utf8_percent_encode(&object, NON_ALPHANUMERIC)
    )
}

#[cfg(test)]
mod tests;
