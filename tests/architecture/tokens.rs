//! Paths in tokens that the parser leaves as they are: bodies of macros, what macros are called with, attributes.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// Every path of two or more words. A path that begins with `::` begins with an empty word here, and one that takes
/// all names ends with `*`.
pub fn paths(tokens: TokenStream) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    walk(&tokens.into_iter().collect::<Vec<_>>(), &mut found);
    found.retain(|path| path.len() > 1);
    found
}

/// What `string_enum! { … }` calls the set of words.
pub fn name_of_set(tokens: TokenStream) -> Option<String> {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    trees.windows(2).find_map(|pair| match pair {
        [TokenTree::Ident(name), body] if braces(body).is_some() => Some(name.to_string()),
        _ => None,
    })
}

fn walk(trees: &[TokenTree], found: &mut Vec<Vec<String>>) {
    let mut at = 0;
    while at < trees.len() {
        match &trees[at] {
            TokenTree::Group(group) => {
                walk(&group.stream().into_iter().collect::<Vec<_>>(), found);
                at += 1;
            }
            TokenTree::Ident(word) if !is_placeholder(trees, at, &word.to_string()) => {
                let start = if after_colons(trees, at) {
                    vec![String::new()]
                } else {
                    Vec::new()
                };
                at = path(trees, at, &start, found);
            }
            _ => at += 1,
        }
    }
}

/// Reads the path that begins at `at`, below `prefix`, and says where it ends.
fn path(
    trees: &[TokenTree],
    mut at: usize,
    prefix: &[String],
    found: &mut Vec<Vec<String>>,
) -> usize {
    let mut words = prefix.to_vec();
    while let Some(TokenTree::Ident(word)) = trees.get(at) {
        words.push(word.to_string());
        at += 1;
        if !colons(trees, at) {
            break;
        }
        at += 2;
        match trees.get(at) {
            Some(TokenTree::Punct(star)) if star.as_char() == '*' => {
                words.push("*".to_owned());
                at += 1;
            }
            Some(tree) => {
                if let Some(inside) = braces(tree) {
                    tree_of_use(&inside, &words, found);
                    return at + 1;
                }
            }
            None => {}
        }
    }
    found.push(words);
    at
}

/// The braces of a `use` in a macro: `crate::{a, b::{c, d}}`.
fn tree_of_use(trees: &[TokenTree], prefix: &[String], found: &mut Vec<Vec<String>>) {
    for part in trees.split(|tree| is_punct(tree, ',')) {
        match part.first() {
            Some(TokenTree::Ident(word)) if word == "self" => found.push(prefix.to_vec()),
            Some(TokenTree::Ident(_)) => {
                path(part, 0, prefix, found);
            }
            Some(tree) if is_punct(tree, '*') => {
                found.push([prefix, &["*".to_owned()]].concat());
            }
            _ => {}
        }
    }
}

fn braces(tree: &TokenTree) -> Option<Vec<TokenTree>> {
    match tree {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
            Some(group.stream().into_iter().collect())
        }
        _ => None,
    }
}

fn is_punct(tree: &TokenTree, sign: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn colons(trees: &[TokenTree], at: usize) -> bool {
    let first = trees.get(at).is_some_and(|tree| {
        matches!(tree, TokenTree::Punct(punct) if punct.as_char() == ':' && punct.spacing() == Spacing::Joint)
    });
    first && trees.get(at + 1).is_some_and(|tree| is_punct(tree, ':'))
}

fn after_colons(trees: &[TokenTree], at: usize) -> bool {
    at >= 2 && colons(trees, at - 2)
}

/// `$name` stands for what the caller gives; `$crate` is a word like others.
fn is_placeholder(trees: &[TokenTree], at: usize, word: &str) -> bool {
    word != "crate" && at > 0 && is_punct(&trees[at - 1], '$')
}
