//! Collects what is wrong with the settings, so that a start is refused once and not once a mistake.

use std::fmt;

/// One setting that is wrong.
#[derive(Debug, PartialEq, Eq)]
struct ConfigError {
    variable: &'static str,
    problem: String,
}

/// Every setting that is wrong, each with its variable's name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// A single mistake.
    pub fn one(variable: &'static str, problem: impl ToString) -> Self {
        let mut errors = Self::default();
        errors.add(variable, problem);
        errors
    }

    /// The value of a setting; `None` once its mistake is noted.
    pub(super) fn take<T>(
        &mut self,
        variable: &'static str,
        checked: Result<T, impl ToString>,
    ) -> Option<T> {
        checked.map_err(|problem| self.add(variable, problem)).ok()
    }

    /// Each mistake in a line of its own.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let lines = self.0.iter();
        lines.map(|error| format!("{} {}", error.variable, error.problem))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, variable: &'static str, problem: impl ToString) {
        self.0.push(ConfigError {
            variable,
            problem: problem.to_string(),
        });
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().collect::<Vec<_>>().join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}
