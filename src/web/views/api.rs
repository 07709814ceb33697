//! The API's OpenAPI document as a page: what there is, what it takes, what it answers.

use askama::Template;
use serde_json::{Map, Value};

use super::Layout;

/// How deep an answer's fields are shown.
const DEPTH: usize = 3;

/// `GET /api/v1`.
#[derive(Template)]
#[template(path = "api.html", whitespace = "minimize")]
pub(crate) struct ApiView {
    layout: Layout,
    version: String,
    about: Vec<Prose>,
    sections: Vec<Section>,
}

/// Words for people, some of which are code.
type Prose = Vec<Piece>;

/// A part of a sentence.
struct Piece {
    text: String,
    is_code: bool,
}

/// Operations of a kind.
struct Section {
    id: String,
    name: String,
    about: String,
    operations: Vec<Operation>,
}

/// One operation.
struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    about: Vec<Prose>,
    scope: Option<String>,
    is_open: bool,
    parameters: Vec<Field>,
    body: Vec<Field>,
    answers: Vec<Answer>,
    curl: String,
}

/// A parameter, or a field of a body.
struct Field {
    name: String,
    kind: String,
    is_required: bool,
    about: Prose,
}

/// What can come back.
struct Answer {
    status: String,
    about: Prose,
    fields: Vec<Field>,
}

impl ApiView {
    /// Reads the document; `origin` is where the API is, without a slash at the end.
    pub(crate) fn new(layout: Layout, document: &Value, origin: &str) -> Self {
        let reader = Reader { document, origin };
        let tags = document["tags"].as_array().map(Vec::as_slice);
        Self {
            layout,
            version: text(&document["info"], "version"),
            about: paragraphs(&text(&document["info"], "description")),
            sections: (tags.unwrap_or_default().iter())
                .map(|tag| reader.section(tag))
                .filter(|section| !section.operations.is_empty())
                .collect(),
        }
    }
}

/// Reads parts of a document.
struct Reader<'a> {
    document: &'a Value,
    origin: &'a str,
}

impl Reader<'_> {
    fn section(&self, tag: &Value) -> Section {
        let name = text(tag, "name");
        let paths = self.document["paths"].as_object();
        let operations = paths.into_iter().flatten().flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            methods.map(move |(method, operation)| (path, method, operation))
        });
        Section {
            id: name.to_lowercase().replace(' ', "-"),
            about: text(tag, "description"),
            operations: operations
                .filter(|(_, _, operation)| operation["tags"][0] == *name)
                .map(|(path, method, operation)| self.operation(path, method, operation))
                .collect(),
            name,
        }
    }

    fn operation(&self, path: &str, method: &str, operation: &Value) -> Operation {
        let body = &operation["requestBody"]["content"]["application/json"];
        let parameters = operation["parameters"].as_array();
        let scope = operation["security"][0]["token"][0].as_str();
        let is_open = operation["security"][0]
            .as_object()
            .is_some_and(Map::is_empty);
        Operation {
            id: text(operation, "operationId"),
            method: method.to_uppercase(),
            path: path.to_owned(),
            summary: text(operation, "summary").trim_end_matches('.').to_owned(),
            about: paragraphs(&text(operation, "description")),
            scope: scope.map(str::to_owned),
            parameters: (parameters.into_iter().flatten())
                .map(|parameter| self.parameter(parameter))
                .collect(),
            body: self.fields(&body["schema"], "", DEPTH),
            answers: (operation["responses"].as_object().into_iter().flatten())
                .map(|(status, answer)| self.answer(status, answer))
                .collect(),
            curl: self.curl(path, method, (&body["schema"], is_open)),
            is_open,
        }
    }

    fn parameter(&self, parameter: &Value) -> Field {
        Field {
            name: text(parameter, "name"),
            kind: format!(
                "{}, {}",
                text(parameter, "in"),
                self.kind(&parameter["schema"])
            ),
            is_required: parameter["required"] == true,
            about: prose(&text(parameter, "description")),
        }
    }

    fn answer(&self, status: &str, answer: &Value) -> Answer {
        let content = &answer["content"]["application/json"]["schema"];
        let fields = if status.starts_with('2') {
            self.fields(content, "", DEPTH)
        } else {
            // They are all of one form, which the page says once.
            Vec::new()
        };
        Answer {
            status: status.to_owned(),
            about: prose(&text(answer, "description")),
            fields,
        }
    }

    /// A schema, wherever it stands.
    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let schema = (schema["oneOf"].as_array().or(schema["allOf"].as_array()))
            .and_then(|several| several.iter().find(|one| one["type"] != "null"))
            .unwrap_or(schema);
        let name = schema["$ref"].as_str().and_then(|at| at.rsplit('/').next());
        match name {
            Some(name) => &self.document["components"]["schemas"][name],
            None => schema,
        }
    }

    fn fields(&self, schema: &Value, prefix: &str, depth: usize) -> Vec<Field> {
        let schema = self.resolved(schema);
        let Some(properties) = schema["properties"].as_object().filter(|_| depth > 0) else {
            return Vec::new();
        };
        let required = schema["required"].as_array();
        let mut fields = Vec::new();
        for (name, property) in properties {
            let inner = self.resolved(property);
            let own = text(property, "description");
            let path = format!("{prefix}{name}");
            fields.push(Field {
                kind: self.kind(property),
                is_required: required.is_some_and(|names| names.iter().any(|one| one == name)),
                about: prose(&if own.is_empty() {
                    text(inner, "description")
                } else {
                    own
                }),
                name: path.clone(),
            });
            let (within, mark) = match inner["type"].as_str() {
                Some("array") => (&inner["items"], "[]."),
                _ => (inner, "."),
            };
            fields.extend(self.fields(within, &format!("{path}{mark}"), depth - 1));
        }
        fields
    }

    fn kind(&self, schema: &Value) -> String {
        let schema = self.resolved(schema);
        let words = |kind: &str| match (kind, schema["format"].as_str()) {
            ("string", Some("date-time")) => "time".to_owned(),
            ("array", _) => format!("list of {}s", self.kind(&schema["items"])),
            (kind, _) => kind.to_owned(),
        };
        match &schema["type"] {
            Value::String(kind) => words(kind),
            Value::Array(kinds) => {
                let kinds = kinds.iter().filter_map(Value::as_str);
                let kinds: Vec<String> = kinds.map(words).collect();
                kinds.join(" or ")
            }
            _ => "object".to_owned(),
        }
    }

    fn curl(&self, path: &str, method: &str, (body, is_open): (&Value, bool)) -> String {
        let mut lines = vec!["curl".to_owned()];
        if method != "get" {
            lines.push(format!("--request {}", method.to_uppercase()));
        }
        if !is_open {
            lines.push("--header \"Authorization: Bearer $ROLEGATE_TOKEN\"".to_owned());
        }
        let schema = self.resolved(body);
        if schema.is_object() {
            let example = match &schema["example"] {
                Value::Null => &schema["examples"][0],
                example => example,
            };
            lines.push("--header 'Content-Type: application/json'".to_owned());
            lines.push(format!("--data '{example}'"));
        }
        lines.push(format!("'{}{path}'", self.origin));
        lines.join(" \\\n  ")
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// What stands between backticks is code, as in Markdown, which OpenAPI's descriptions are.
fn prose(text: &str) -> Prose {
    (text.split('`').enumerate())
        .filter(|(_, text)| !text.is_empty())
        .map(|(place, text)| Piece {
            text: text.to_owned(),
            is_code: place % 2 == 1,
        })
        .collect()
}

fn paragraphs(text: &str) -> Vec<Prose> {
    text.split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|paragraph| !paragraph.is_empty())
        .map(|paragraph| prose(&paragraph))
        .collect()
}
