//! What one file says: its header, its length, its modules, and every path that it names outside of tests.

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    AttrStyle, Attribute, Expr, ExprLit, File, ImplItem, Item, ItemExternCrate, ItemMacro, ItemMod,
    ItemUse, Lit, Macro, Meta, Stmt, TraitItem, UseTree, VisRestricted,
    visit::{self, Visit},
};

use crate::tokens;

/// A path as it is written, and the inline modules around it.
#[derive(Debug, Clone)]
pub struct Mention {
    pub scope: Vec<String>,
    /// `*` at the end takes all names; an empty word at the beginning is a `::`.
    pub words: Vec<String>,
}

/// `use … as name`, or `mod name`.
#[derive(Debug)]
pub struct Name {
    pub name: String,
    pub means: Mention,
}

/// `mod name;` or `mod name { … }`.
#[derive(Debug)]
pub struct Module {
    pub path: Vec<String>,
    pub is_test: bool,
    pub is_inline: bool,
    pub is_elsewhere: bool,
}

#[derive(Debug, Default)]
pub struct Source {
    pub path: String,
    pub header: Vec<String>,
    pub lines: usize,
    pub mentions: Vec<Mention>,
    pub names: Vec<Name>,
    pub modules: Vec<Module>,
    /// Macros that the whole crate sees.
    pub macros: Vec<String>,
    /// What `string_enum!` makes here.
    pub sets: Vec<String>,
    /// Whether it does more than declare modules.
    pub has_code: bool,
    scope: Vec<String>,
}

impl Source {
    /// A file, or what the parser has against it.
    pub fn read(path: &str, text: &str) -> Result<Self, String> {
        let file = syn::parse_file(text).map_err(|fault| fault.to_string())?;
        let mut source = Self {
            path: path.to_owned(),
            header: header(&file),
            lines: text.lines().count(),
            has_code: file.items.iter().any(is_code),
            ..Self::default()
        };
        source.visit_file(&file);
        Ok(source)
    }

    pub fn is_pure(&self) -> bool {
        self.header
            .iter()
            .any(|line| line.split_whitespace().next_back() == Some("Pure."))
    }

    fn mention(&mut self, words: Vec<String>) {
        let mention = self.here(words);
        self.mentions.push(mention);
    }

    fn here(&self, words: Vec<String>) -> Mention {
        Mention {
            scope: self.scope.clone(),
            words,
        }
    }

    fn name(&mut self, name: String, words: Vec<String>) {
        let means = self.here(words);
        self.names.push(Name { name, means });
    }

    fn use_tree(&mut self, prefix: &[String], tree: &UseTree) {
        let below = |word: String| [prefix, &[word]].concat();
        match tree {
            UseTree::Path(path) => self.use_tree(&below(path.ident.to_string()), &path.tree),
            UseTree::Name(leaf) => self.used(prefix, &leaf.ident.to_string(), None),
            UseTree::Rename(leaf) => self.used(
                prefix,
                &leaf.ident.to_string(),
                Some(leaf.rename.to_string()),
            ),
            UseTree::Glob(_) => self.mention(below("*".to_owned())),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(prefix, tree);
                }
            }
        }
    }

    /// One leaf of a `use`: `self` in braces is the module itself.
    fn used(&mut self, prefix: &[String], word: &str, renamed: Option<String>) {
        let mut words = prefix.to_vec();
        if word != "self" || prefix.is_empty() {
            words.push(word.to_owned());
        }
        if let Some(name) = renamed.or_else(|| words.last().cloned()) {
            self.name(name, words.clone());
        }
        self.mention(words);
    }
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        } else if let Item::Mod(module) = item {
            self.declare(module, true);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs[..],
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        let attributes = match item {
            TraitItem::Const(item) => &item.attrs[..],
            TraitItem::Fn(item) => &item.attrs,
            TraitItem::Type(item) => &item.attrs,
            TraitItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        let attributes = match statement {
            Stmt::Local(local) => &local.attrs[..],
            Stmt::Macro(call) => &call.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_stmt(self, statement);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_test(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if !is_test(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.declare(module, false);
        self.scope.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.scope.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let start = item.leading_colon.as_ref().map(|_| String::new());
        self.use_tree(&Vec::from_iter(start), &item.tree);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast ItemExternCrate) {
        self.mention(vec![String::new(), item.ident.to_string()]);
    }

    fn visit_item_macro(&mut self, item: &'ast ItemMacro) {
        let is_for_all = item
            .attrs
            .iter()
            .any(|attribute| attribute.path().is_ident("macro_export"));
        if let Some(name) = item.ident.as_ref().filter(|_| is_for_all) {
            self.macros.push(name.to_string());
        }
        visit::visit_item_macro(self, item);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let name = call.path.segments.last().map(|word| &word.ident);
        if name.is_some_and(|name| name == "string_enum") {
            self.sets.extend(tokens::name_of_set(call.tokens.clone()));
        }
        visit::visit_macro(self, call);
    }

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        for words in tokens::paths(tokens.clone()) {
            self.mention(words);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let start = path.leading_colon.as_ref().map(|_| String::new());
        let words = path.segments.iter().map(|word| word.ident.to_string());
        let words: Vec<String> = start.into_iter().chain(words).collect();
        // One word is a name of this file, or came with a `use`.
        if words.len() > 1 {
            self.mention(words);
        }
        visit::visit_path(self, path);
    }

    /// `pub(crate)` and `pub(in …)` import nothing.
    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}
}

impl Source {
    fn declare(&mut self, module: &ItemMod, is_test: bool) {
        let name = module.ident.to_string();
        if !is_test {
            self.name(name.clone(), vec!["self".to_owned(), name.clone()]);
        }
        self.modules.push(Module {
            path: [&self.scope[..], &[name]].concat(),
            is_test,
            is_inline: module.content.is_some(),
            is_elsewhere: module
                .attrs
                .iter()
                .any(|attribute| attribute.path().is_ident("path")),
        });
    }
}

/// The lines that begin with `//!`.
fn header(file: &File) -> Vec<String> {
    let inner = file
        .attrs
        .iter()
        .filter(|attribute| matches!(attribute.style, AttrStyle::Inner(_)));
    inner.filter_map(doc).collect()
}

fn doc(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else {
        return None;
    };
    match &pair.value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) if pair.path.is_ident("doc") => Some(text.value().trim().to_owned()),
        _ => None,
    }
}

/// Whether only tests see it: `#[test]`, `#[cfg(test)]` or `#[cfg(all(test, …))]`.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => list.path.is_ident("cfg") && needs_test(list.tokens.clone()),
        Meta::NameValue(_) => false,
    })
}

fn needs_test(condition: TokenStream) -> bool {
    let trees: Vec<TokenTree> = condition.into_iter().collect();
    match &trees[..] {
        [TokenTree::Ident(word)] => word == "test",
        [TokenTree::Ident(word), TokenTree::Group(all)] if word == "all" => all
            .stream()
            .into_iter()
            .any(|tree| matches!(tree, TokenTree::Ident(word) if word == "test")),
        _ => false,
    }
}

fn is_code(item: &Item) -> bool {
    let is_declaration = matches!(item, Item::Mod(module) if module.content.is_none());
    !is_declaration && !is_test(attributes(item))
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
