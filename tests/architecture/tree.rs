//! Which file every path leads to.

use std::collections::{BTreeMap, BTreeSet};

use crate::reader::{Mention, Source};

/// What the binary calls the library.
const LIBRARY: &str = "enlist";

/// The words of a module's path. The first says the crate: both have their files in one folder.
type Place = Vec<String>;

/// Where a path leads.
enum Target {
    Inside(Place),
    Outside(Vec<String>),
}

#[derive(Default)]
pub struct Tree {
    pub sources: Vec<Source>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
    /// Which file imports which, by their places in `sources`.
    pub arrows: BTreeSet<(usize, usize)>,
    /// What files name of other crates.
    pub foreign: BTreeSet<(usize, String)>,
    /// Files that are there for tests alone.
    pub tests: BTreeSet<usize>,
    places: Vec<Place>,
    modules: BTreeMap<Place, usize>,
    names: BTreeMap<(Place, String), Vec<String>>,
    globs: BTreeMap<Place, Vec<Vec<String>>>,
    macros: BTreeMap<String, usize>,
}

impl Tree {
    /// Paths are below `src/`.
    pub fn read<P: AsRef<str>, T: AsRef<str>>(files: &[(P, T)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            match Source::read(path.as_ref(), text.as_ref()) {
                Ok(source) => tree.sources.push(source),
                Err(fault) => tree
                    .unread
                    .push(format!("src/{} cannot be read: {fault}", path.as_ref())),
            }
        }
        tree.place();
        tree.find_tests();
        for file in tree.of_the_product() {
            tree.index(file);
        }
        for file in tree.of_the_product() {
            tree.follow(file);
        }
        tree
    }

    /// The files that are not there for tests alone.
    pub fn of_the_product(&self) -> Vec<usize> {
        (0..self.sources.len())
            .filter(|file| !self.tests.contains(file))
            .collect()
    }

    pub fn path(&self, file: usize) -> &str {
        &self.sources[file].path
    }

    /// What `main.rs` declares is the binary's, and all else is the library's.
    fn place(&mut self) {
        let main = self.sources.iter().find(|source| source.path == "main.rs");
        let of_main: Vec<String> = main
            .into_iter()
            .flat_map(|main| &main.modules)
            .map(|module| module.path[0].clone())
            .collect();
        for (file, source) in self.sources.iter().enumerate() {
            let words = words_of(&source.path);
            let top = words.first();
            let is_main = source.path == "main.rs" || top.is_some_and(|top| of_main.contains(top));
            let root = if is_main { "main" } else { "library" };
            let place = [vec![root.to_owned()], words].concat();
            self.modules.insert(place.clone(), file);
            self.places.push(place);
        }
    }

    fn find_tests(&mut self) {
        let mut roots: Vec<Place> = Vec::new();
        for (source, place) in self.sources.iter().zip(&self.places) {
            let tests = source.modules.iter().filter(|module| module.is_test);
            roots.extend(tests.map(|module| [&place[..], &module.path].concat()));
            let moved = source.modules.iter().filter(|module| module.is_elsewhere);
            self.unread.extend(moved.map(|module| {
                let name = module.path.join("::");
                format!(
                    "src/{} has `{name}` elsewhere with #[path]: nobody finds it there",
                    source.path
                )
            }));
        }
        self.tests = (0..self.sources.len())
            .filter(|&file| roots.iter().any(|root| self.places[file].starts_with(root)))
            .collect();
    }

    /// Takes up what a file's modules call things.
    fn index(&mut self, file: usize) {
        let (source, place) = (&self.sources[file], &self.places[file]);
        for name in &source.macros {
            self.macros.insert(name.clone(), file);
        }
        let inline = source.modules.iter().filter(|module| module.is_inline);
        for module in inline.filter(|module| !module.is_test) {
            self.modules
                .insert([&place[..], &module.path].concat(), file);
        }
        for name in &source.names {
            let key = ([&place[..], &name.means.scope].concat(), name.name.clone());
            self.names
                .entry(key)
                .or_insert_with(|| name.means.words.clone());
        }
        for mention in &source.mentions {
            if let Some(("*", module)) = mention.words.split_last().map(|(a, b)| (a.as_str(), b)) {
                let scope = [&place[..], &mention.scope].concat();
                self.globs.entry(scope).or_default().push(module.to_vec());
            }
        }
    }

    /// Finds where all of a file's paths lead.
    fn follow(&mut self, file: usize) {
        for Mention { scope, words } in &self.sources[file].mentions {
            let place = [&self.places[file][..], scope].concat();
            match self.target(&place, words, &mut BTreeSet::new()) {
                Target::Outside(words) => {
                    self.foreign.insert((file, words.join("::")));
                }
                Target::Inside(path) => {
                    let to = self.file_of(&path).filter(|&to| to != file);
                    self.arrows.extend(to.map(|to| (file, to)));
                }
            }
        }
    }

    /// The file of the innermost module on a path. Macros for all are at the crate's root, wherever they are written.
    fn file_of(&self, path: &[String]) -> Option<usize> {
        let modules = (1..=path.len()).rev();
        let (length, file) = modules
            .filter_map(|length| Some((length, *self.modules.get(&path[..length])?)))
            .next()?;
        let exported = path.get(1).and_then(|name| self.macros.get(name));
        Some(*exported.filter(|_| length == 1).unwrap_or(&file))
    }

    /// Where `words` lead when they stand in the module `place`. `seen` are the names on the way here.
    fn target(
        &self,
        place: &[String],
        words: &[String],
        seen: &mut BTreeSet<(Place, String)>,
    ) -> Target {
        let Some((first, rest)) = words.split_first() else {
            return Target::Outside(Vec::new());
        };
        match first.as_str() {
            "crate" => Target::Inside([&place[..1], rest].concat()),
            "self" | "super" => Target::Inside(relative(place, words)),
            LIBRARY if place[0] == "main" => {
                Target::Inside([&["library".to_owned()], rest].concat())
            }
            "" if rest.first().is_some_and(|word| word == LIBRARY) => {
                self.target(place, rest, seen)
            }
            "" => Target::Outside(rest.to_vec()),
            name => match self.meaning(place, name, seen) {
                Some((there, means)) => self.target(&there, &[&means, rest].concat(), seen),
                None => Target::Outside(words.to_vec()),
            },
        }
    }

    /// What a name stands for in a module, and in which module that is written: its own, or one whose names it takes.
    fn meaning(
        &self,
        place: &[String],
        name: &str,
        seen: &mut BTreeSet<(Place, String)>,
    ) -> Option<(Place, Vec<String>)> {
        let key = (place.to_vec(), name.to_owned());
        if !seen.insert(key.clone()) {
            return None;
        }
        if let Some(words) = self.names.get(&key) {
            return Some((key.0, words.clone()));
        }
        let globs = self.globs.get(place)?;
        globs.iter().find_map(|module| {
            // The names on the way to another module are not those on the way to this one.
            match self.target(place, module, &mut seen.clone()) {
                Target::Inside(there) => self.meaning(&there, name, seen),
                Target::Outside(_) => None,
            }
        })
    }
}

/// `self` and `super` at the beginning.
fn relative(place: &[String], words: &[String]) -> Place {
    let mut path = place.to_vec();
    let mut rest = words;
    while let Some((first, after)) = rest.split_first() {
        match first.as_str() {
            "self" => {}
            "super" => path.truncate(path.len().saturating_sub(1).max(1)),
            _ => break,
        }
        rest = after;
    }
    [&path[..], rest].concat()
}

/// `users/csv/mod.rs` and `users/csv.rs` are both `users::csv`.
fn words_of(path: &str) -> Vec<String> {
    let stem = path.trim_end_matches(".rs");
    let mut words: Vec<String> = stem.split('/').map(str::to_owned).collect();
    if words.last().is_some_and(|word| word == "mod") || matches!(path, "main.rs" | "lib.rs") {
        words.pop();
    }
    words
}
