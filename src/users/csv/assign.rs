//! What each column of a file becomes: as the caller says, else by its own name, else by a synonym. Pure.

use super::{
    folded::{Folded, key},
    known::{ATTRIBUTE, Column, Known, is_status},
    likeness::{near, speaks_of_mail},
    mapping::ColumnMap,
    passwords::is_password,
    synonyms::{
        field_of, field_outside, is_apelido, is_bare_name, is_family_given, is_of_portugal,
    },
    told::{self, Warning, columns_of},
};
use crate::{
    model::{identity::Email, wire::Flaw},
    users::attributes::attribute_name,
};

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

/// A field, and the columns that all may be it.
type Doubt = (Known, Vec<usize>);

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
            if !is_password(&self.names[index]) {
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
            self.warnings.push(told::password_like(&self.shown[index]));
        }
    }

    /// Takes the columns that have a field's own name, unless the caller gave it another one, and those of an export.
    fn by_own_names(&mut self) {
        let mut doubtful = Vec::new();
        for known in Known::ALL {
            let whole = key(known.as_str());
            let mut places = self.open();
            places.retain(|index| self.folded[*index].whole == whole && !self.is_attribute(*index));
            if !self.asked.contains(&known) {
                self.take(known, places, &mut doubtful);
            }
        }
        self.refuse_doubtful(&doubtful);
        for index in self.open() {
            let whole = &self.folded[index].whole;
            if !self.is_attribute(index) && is_status(whole) && Known::of_key(whole).is_none() {
                self.columns[index] = Some(Column::Left);
            }
        }
    }

    /// Whether it has the mark of one.
    fn is_attribute(&self, index: usize) -> bool {
        self.names[index].starts_with(ATTRIBUTE)
    }

    /// Takes columns for a field; those of several names are in doubt.
    fn take(&mut self, known: Known, places: Vec<usize>, doubtful: &mut Vec<Doubt>) {
        let is_one = |first: &usize| {
            let mut others = places.iter();
            others.all(|other| self.names[*other] == self.names[*first])
        };
        if places.first().is_some_and(is_one) {
            for index in places {
                self.columns[index] = Some(Column::Known(known));
            }
        } else if !places.is_empty() {
            doubtful.push((known, places));
        }
    }

    /// Takes the only synonym of a field that has no column yet.
    fn by_synonyms(&mut self) {
        let mut doubtful = Vec::new();
        for known in Known::ALL {
            if self.has(known) {
                continue;
            }
            let mut places = self.open();
            places.retain(|index| {
                !self.is_attribute(*index)
                    && !is_family_given(&self.names[*index])
                    && field_of(&self.folded[*index]) == Some(known)
            });
            self.take(known, places, &mut doubtful);
        }
        self.refuse_doubtful(&doubtful);
    }

    fn refuse_doubtful(&mut self, doubtful: &[Doubt]) {
        let shown = self.shown;
        let first = doubtful
            .iter()
            .map(|(known, places)| (shown[places[0]].as_str(), *known));
        let hint = columns_of(first);
        for (known, places) in doubtful {
            let names = places.iter().map(|index| shown[*index].as_str());
            let flaw = told::ambiguous(names, *known, &hint);
            self.flaws.push((Some(shown[places[0]].clone()), flaw));
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
        let mut apelidos = self.open();
        apelidos.retain(|index| is_apelido(self.folded[*index].bare()));
        if let [index] = apelidos.as_slice()
            && !self.has(Known::LastName)
            && self.folded.iter().any(|name| is_of_portugal(name.bare()))
        {
            self.columns[*index] = Some(Column::Known(Known::LastName));
        }
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
                self.warnings.push(told::looks_like(&shown, known));
            }
        }
    }

    /// The field that a column looks like without being taken as it.
    fn alike(&self, index: usize) -> Option<Known> {
        let (name, folded) = (&self.names[index], &self.folded[index]);
        // A first line of data is nobody's to show.
        let is_sure = self.knows_any();
        let is_name = is_sure || !name.contains(|c: char| c.is_ascii_digit());
        let apelido = || is_apelido(folded.bare()).then_some(Known::LastName);
        field_of(folded)
            .or_else(|| Known::of_key(&folded.whole))
            .or_else(|| {
                apelido()
                    .or_else(|| field_outside(folded))
                    .filter(|known| !self.has(*known))
            })
            .or_else(|| near(folded).filter(|_| is_name))
            .or_else(|| {
                let is_mail = !self.has(Known::Email) && speaks_of_mail(name, is_sure);
                is_mail.then_some(Known::Email)
            })
    }

    /// Whether any column is a field.
    fn knows_any(&self) -> bool {
        let mut columns = self.columns.iter().flatten();
        columns.any(|column| !column.fields().is_empty())
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
                let detail = format!(
                    "columns {} and {} mean the same; give one of them another name, or leave it out of the file",
                    first + 1,
                    index + 1
                );
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
            let mut detail = NO_PEOPLE.to_owned();
            // Somebody's data is not shown: an address is no name of a column.
            let is_data = self.names.iter().any(|name| Email::parse(name).is_ok());
            if is_data || !self.knows_any() {
                self.flaws.clear();
            }
            let alike = |warning: &&Warning| !is_data && warning.code == "looks_like";
            for hint in self.warnings.iter().filter(alike) {
                detail.push_str(&format!("; {}", hint.detail));
            }
            self.flaws.push((None, Flaw::new("missing_column", detail)));
        }
        let named = [Known::FirstName, Known::LastName, Known::DisplayName];
        if !named.iter().any(|known| self.has(*known)) {
            self.warnings.push(Warning::new(
                "no_name_column",
                "no column has the names of people, so they are shown and greeted by their usernames",
            ));
        }
    }
}

#[cfg(test)]
mod tests;
