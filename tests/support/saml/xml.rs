//! A small element tree, how it is written, and how it is canonicalized.
//!
//! Names are written with the prefixes of [`NAMESPACES`] throughout; [`Prefixes`] says what stands
//! for them in a document. Declarations are written where they are first needed, beside those that
//! an element carries as attributes.

use std::collections::BTreeMap;

/// The prefixes that names in the tests use, with what they mean.
pub const NAMESPACES: &[(&str, &str)] = &[
    ("samlp", "urn:oasis:names:tc:SAML:2.0:protocol"),
    ("saml", "urn:oasis:names:tc:SAML:2.0:assertion"),
    ("md", "urn:oasis:names:tc:SAML:2.0:metadata"),
    ("ds", "http://www.w3.org/2000/09/xmldsig#"),
    ("ec", "http://www.w3.org/2001/10/xml-exc-c14n#"),
    ("xenc", "http://www.w3.org/2001/04/xmlenc#"),
    ("xenc11", "http://www.w3.org/2009/xmlenc11#"),
    ("xf", "http://www.w3.org/2002/06/xmldsig-filter2"),
    ("xsl", "http://www.w3.org/1999/XSL/Transform"),
    ("xs", "http://www.w3.org/2001/XMLSchema"),
    ("xsi", "http://www.w3.org/2001/XMLSchema-instance"),
    ("xml", "http://www.w3.org/XML/1998/namespace"),
];

/// The namespace of one of our prefixes.
pub fn namespace(prefix: &str) -> Option<&'static str> {
    NAMESPACES
        .iter()
        .find(|(known, _)| *known == prefix)
        .map(|(_, uri)| *uri)
}

/// What stands in a document for our prefixes; an empty one is the default namespace.
#[derive(Debug, Clone, Default)]
pub struct Prefixes(BTreeMap<&'static str, String>);

impl Prefixes {
    /// Ours, but for some.
    pub fn with(replaced: &[(&'static str, &str)]) -> Self {
        let replaced = replaced
            .iter()
            .map(|(ours, theirs)| (*ours, (*theirs).to_owned()));
        Self(replaced.collect())
    }

    /// What stands for a prefix.
    pub fn written<'a>(&'a self, prefix: &'a str) -> &'a str {
        self.0.get(prefix).map_or(prefix, String::as_str)
    }

    /// The prefix, the local name and the namespace of an element, or of an attribute, to which the
    /// default namespace does not apply. No namespace where the prefix is not ours.
    fn resolve<'a>(&'a self, name: &'a str) -> (&'a str, &'a str, Option<&'a str>) {
        match name.split_once(':') {
            None => ("", name, Some("")),
            Some(("xmlns", declared)) => ("xmlns", self.written(declared), None),
            Some((prefix, local)) => (self.written(prefix), local, namespace(prefix)),
        }
    }

    fn qualified(&self, name: &str) -> String {
        match self.resolve(name) {
            ("" | "xmlns", "", _) => "xmlns".to_owned(),
            ("", local, _) => local.to_owned(),
            (prefix, local, _) => format!("{prefix}:{local}"),
        }
    }
}

/// A part of an element's content.
#[derive(Debug, Clone)]
pub enum Node {
    /// An element.
    Element(Element),
    /// Text.
    Text(String),
    /// Anything else, as it stands in the document and as it is canonicalized.
    Written {
        /// In the document.
        document: String,
        /// Canonicalized.
        canonical: String,
    },
}

impl Node {
    /// A comment, which canonicalization leaves out.
    pub fn comment(text: &str) -> Self {
        Self::raw(format!("<!--{text}-->"))
    }

    /// A processing instruction, which canonicalization keeps.
    pub fn instruction(text: &str) -> Self {
        let document = format!("<?{text}?>");
        Self::Written {
            canonical: document.clone(),
            document,
        }
    }

    /// A CDATA section, which is canonicalized to its text.
    pub fn cdata(text: &str) -> Self {
        let document = format!("<![CDATA[{text}]]>");
        Self::Written {
            document,
            canonical: escape_text(text),
        }
    }

    /// Text that is spelled with character references, such as `&#x61;`.
    pub fn spelled(document: &str, text: &str) -> Self {
        Self::Written {
            document: document.to_owned(),
            canonical: escape_text(text),
        }
    }

    /// Markup that is put in after everything was signed.
    pub fn raw(document: impl Into<String>) -> Self {
        Self::Written {
            document: document.into(),
            canonical: String::new(),
        }
    }
}

impl From<Element> for Node {
    fn from(element: Element) -> Self {
        Self::Element(element)
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// An element.
#[derive(Debug, Clone)]
pub struct Element {
    /// With one of our prefixes.
    pub name: String,
    /// With our prefixes, in order; `xmlns` and `xmlns:PREFIX` declare.
    pub attributes: Vec<(String, String)>,
    /// The content.
    pub children: Vec<Node>,
}

impl Element {
    /// An empty element.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            attributes: Vec::new(),
            children: Vec::new(),
        }
    }

    /// This with one more attribute.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.push((name.to_owned(), value.into()));
        self
    }

    /// This with a declaration of one of our prefixes.
    pub fn declaring(self, prefix: &str) -> Self {
        let uri = namespace(prefix).expect("one of our prefixes");
        self.with(&format!("xmlns:{prefix}"), uri)
    }

    /// This with one more part.
    pub fn child(mut self, child: impl Into<Node>) -> Self {
        self.children.push(child.into());
        self
    }

    /// Gives it another name.
    pub fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    /// The name without its prefix.
    pub fn local_name(&self) -> &str {
        self.name.rsplit(':').next().unwrap_or_default()
    }

    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        attributes
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Sets an attribute, in its place where there is one.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        match self.attributes.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.into(),
            None => self.attributes.push((name.to_owned(), value.into())),
        }
    }

    /// Removes an attribute.
    pub fn unset(&mut self, name: &str) {
        self.attributes.retain(|(known, _)| known != name);
    }

    /// The `ID`.
    pub fn id(&self) -> &str {
        self.attribute("ID").expect("an ID")
    }

    /// Replaces the content.
    pub fn fill(&mut self, content: impl Into<Node>) {
        self.children = vec![content.into()];
    }

    /// The text directly inside.
    pub fn text(&self) -> String {
        let texts = self.children.iter().map(|child| match child {
            Node::Text(text) => text.as_str(),
            _ => "",
        });
        texts.collect()
    }

    /// Appends a part.
    pub fn push(&mut self, child: impl Into<Node>) {
        self.children.push(child.into());
    }

    /// Puts a part first.
    pub fn push_front(&mut self, child: impl Into<Node>) {
        self.children.insert(0, child.into());
    }

    /// Puts a part before the child element of that local name.
    pub fn insert_before(&mut self, child: &str, new: impl Into<Node>) {
        let at = self.position(child);
        self.children.insert(at, new.into());
    }

    /// Puts a part behind the child element of that local name.
    pub fn insert_after(&mut self, child: &str, new: impl Into<Node>) {
        let at = self.position(child) + 1;
        self.children.insert(at, new.into());
    }

    /// The descendant under a path of local names, the first of each; an empty path is this.
    pub fn at(&mut self, path: &str) -> &mut Self {
        path.split('/')
            .filter(|step| !step.is_empty())
            .fold(self, |element, step| {
                let at = element.position(step);
                match &mut element.children[at] {
                    Node::Element(child) => child,
                    _ => unreachable!("positions are those of elements"),
                }
            })
    }

    /// The same for reading, with every element on the way, this first.
    pub fn way_to(&self, path: &str) -> Vec<&Self> {
        let mut way = vec![self];
        for step in path.split('/').filter(|step| !step.is_empty()) {
            let element = way[way.len() - 1];
            match &element.children[element.position(step)] {
                Node::Element(child) => way.push(child),
                _ => unreachable!("positions are those of elements"),
            }
        }
        way
    }

    /// A copy of the descendant under a path.
    pub fn copy(&self, path: &str) -> Self {
        (*self.way_to(path).last().expect("at least this")).clone()
    }

    /// Whether there is a child element of that local name.
    pub fn has(&self, child: &str) -> bool {
        self.elements().any(|element| element.local_name() == child)
    }

    /// Takes the descendant under a path out.
    pub fn take(&mut self, path: &str) -> Self {
        let (parent, child) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.at(parent);
        let at = parent.position(child);
        match parent.children.remove(at) {
            Node::Element(element) => element,
            _ => unreachable!("positions are those of elements"),
        }
    }

    /// Replaces the descendant under a path, and returns what stood there.
    pub fn replace(&mut self, path: &str, new: impl Into<Node>) -> Self {
        let (parent, child) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.at(parent);
        let at = parent.position(child);
        match std::mem::replace(&mut parent.children[at], new.into()) {
            Node::Element(element) => element,
            _ => unreachable!("positions are those of elements"),
        }
    }

    /// The child elements.
    pub fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|child| match child {
            Node::Element(element) => Some(element),
            _ => None,
        })
    }

    /// Puts white space between elements, as for reading, with `unit` for each level.
    pub fn indent(&mut self, unit: &str) {
        self.indent_from(unit, 0);
    }

    fn indent_from(&mut self, unit: &str, depth: usize) {
        let mut indented = Vec::new();
        let mut is_parent = false;
        for mut child in std::mem::take(&mut self.children) {
            if let Node::Element(element) = &mut child {
                is_parent = true;
                element.indent_from(unit, depth + 1);
                indented.push(Node::Text(format!("\n{}", unit.repeat(depth + 1))));
            }
            indented.push(child);
        }
        if is_parent {
            indented.push(Node::Text(format!("\n{}", unit.repeat(depth))));
        }
        self.children = indented;
    }

    fn position(&self, child: &str) -> usize {
        let found = self.children.iter().position(
            |node| matches!(node, Node::Element(element) if element.local_name() == child),
        );
        found.unwrap_or_else(|| panic!("{} has no child {child}", self.name))
    }

    /// What this element declares, where `scope` is declared around it: its own declarations, and
    /// those that its names need.
    fn declarations(&self, scope: &Scope, prefixes: &Prefixes) -> Scope {
        let mut declared = Scope::new();
        for (name, value) in &self.attributes {
            if name == "xmlns" {
                declared.insert(String::new(), value.clone());
            } else if let Some(prefix) = name.strip_prefix("xmlns:") {
                declared.insert(prefixes.written(prefix).to_owned(), value.clone());
            }
        }
        let attributes = self.attributes.iter().map(|(name, _)| name.as_str());
        for name in attributes
            .filter(|name| name.contains(':'))
            .chain([self.name.as_str()])
        {
            let (prefix, _, Some(uri)) = prefixes.resolve(name) else {
                continue;
            };
            let bound = declared.get(prefix).or_else(|| scope.get(prefix));
            if prefix != "xml" && bound.map_or("", String::as_str) != uri {
                declared
                    .entry(prefix.to_owned())
                    .or_insert_with(|| uri.to_owned());
            }
        }
        declared
    }
}

/// Prefixes and what they mean.
type Scope = BTreeMap<String, String>;

/// The element as part of a document, without an XML declaration.
pub fn write(element: &Element, prefixes: &Prefixes) -> String {
    let mut out = String::new();
    write_into(&mut out, element, &Scope::new(), prefixes);
    out
}

fn write_into(out: &mut String, element: &Element, around: &Scope, prefixes: &Prefixes) {
    let declared = element.declarations(around, prefixes);
    let name = prefixes.qualified(&element.name);
    out.push('<');
    out.push_str(&name);
    let is_written = |prefix: &str| {
        element
            .attributes
            .iter()
            .any(|(name, _)| prefixes.qualified(name) == declaration(prefix))
    };
    for (prefix, uri) in declared.iter().filter(|(prefix, _)| !is_written(prefix)) {
        push_attribute(out, &declaration(prefix), uri);
    }
    for (name, value) in &element.attributes {
        push_attribute(out, &prefixes.qualified(name), value);
    }
    if element.children.is_empty() {
        out.push_str("/>");
        return;
    }
    out.push('>');
    let mut scope = around.clone();
    scope.extend(declared);
    for child in &element.children {
        match child {
            Node::Element(child) => write_into(out, child, &scope, prefixes),
            Node::Text(text) => out.push_str(&escape_text(text)),
            Node::Written { document, .. } => out.push_str(document),
        }
    }
    out.push_str("</");
    out.push_str(&name);
    out.push('>');
}

/// A canonicalization without comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Canonicalization {
    /// Canonical XML 1.0.
    Inclusive,
    /// Exclusive XML Canonicalization 1.0, with our prefixes in its PrefixList.
    Exclusive(Vec<&'static str>),
}

/// Canonicalizes the last element of a way that begins at the root. `without` is a child of it that
/// is left out, as the enveloped-signature transform does.
pub fn canonicalize(
    way: &[&Element],
    without: Option<&str>,
    method: &Canonicalization,
    prefixes: &Prefixes,
) -> Vec<u8> {
    let (element, ancestors) = way.split_last().expect("a way has an end");
    let mut scope = Scope::new();
    for ancestor in ancestors {
        let declared = ancestor.declarations(&scope, prefixes);
        scope.extend(declared);
    }
    let mut element = (*element).clone();
    if let Some(child) = without
        && element.has(child)
    {
        element.take(child);
    }
    let mut canonical = Canonical {
        out: String::new(),
        method,
        prefixes,
    };
    canonical.write(&element, &scope, &Scope::new());
    canonical.out.into_bytes()
}

struct Canonical<'a> {
    out: String,
    method: &'a Canonicalization,
    prefixes: &'a Prefixes,
}

impl Canonical<'_> {
    /// `around` is what the document declares around the element, `shown` what the output does.
    fn write(&mut self, element: &Element, around: &Scope, shown: &Scope) {
        let mut scope = around.clone();
        scope.extend(element.declarations(around, self.prefixes));
        let name = self.prefixes.qualified(&element.name);
        let mut shown = shown.clone();
        self.out.push('<');
        self.out.push_str(&name);
        for (prefix, uri) in self.candidates(element, &scope) {
            // `xmlns=""` says something only where another default is in force.
            if shown.get(&prefix).map_or("", String::as_str) != uri {
                push_attribute(&mut self.out, &declaration(&prefix), &uri);
                shown.insert(prefix, uri);
            }
        }
        for (_, (name, value)) in self.sorted_attributes(element, &scope) {
            push_attribute(&mut self.out, &name, value);
        }
        self.out.push('>');
        for child in &element.children {
            match child {
                Node::Element(child) => self.write(child, &scope, &shown),
                Node::Text(text) => self.out.push_str(&escape_text(text)),
                Node::Written { canonical, .. } => self.out.push_str(canonical),
            }
        }
        self.out.push_str("</");
        self.out.push_str(&name);
        self.out.push('>');
    }

    /// The declarations that the element shows unless they are shown around it: all of them, or
    /// those that its own names use and those of the PrefixList.
    fn candidates(&self, element: &Element, scope: &Scope) -> Scope {
        let mut candidates = scope.clone();
        candidates.entry(String::new()).or_default();
        if let Canonicalization::Exclusive(listed) = self.method {
            let attributes = element.attributes.iter().map(|(name, _)| name.as_str());
            let named = attributes
                .filter(|name| name.contains(':'))
                .chain([element.name.as_str()]);
            let mut used: Vec<&str> = named.map(|name| self.prefixes.resolve(name).0).collect();
            used.extend(listed.iter().map(|prefix| self.prefixes.written(prefix)));
            candidates.retain(|prefix, _| used.contains(&prefix.as_str()));
        }
        candidates
    }

    /// By namespace, then local name; none that declares.
    fn sorted_attributes<'e>(
        &self,
        element: &'e Element,
        scope: &Scope,
    ) -> BTreeMap<(String, String), (String, &'e str)> {
        let attributes = element.attributes.iter();
        let attributes =
            attributes.filter(|(name, _)| name != "xmlns" && !name.starts_with("xmlns:"));
        let keyed = attributes.map(|(name, value)| {
            let (prefix, local, uri) = self.prefixes.resolve(name);
            let uri = uri
                .or_else(|| scope.get(prefix).map(String::as_str))
                .unwrap_or_default();
            let key = (uri.to_owned(), local.to_owned());
            (key, (self.prefixes.qualified(name), value.as_str()))
        });
        keyed.collect()
    }
}

fn declaration(prefix: &str) -> String {
    if prefix.is_empty() {
        "xmlns".to_owned()
    } else {
        format!("xmlns:{prefix}")
    }
}

fn push_attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Text as Canonical XML writes it, which is well-formed in a document too.
pub fn escape_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#xD;"),
            c => out.push(c),
        }
    }
    out
}
