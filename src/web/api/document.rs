//! The OpenAPI document: made of the routes, so that the two are one.
//!
//! Entry points: [`operations`], [`document`].

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::json;
use utoipa::{
    Modify, OpenApi, PartialSchema, ToSchema,
    openapi::{
        self, Content, Header, Ref, RefOr, ResponseBuilder,
        path::Operation,
        schema::{ObjectBuilder, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{super::App, error::ErrorBody, me, opening, sessions, staff, tokens};

/// Where it is.
const PATH: &str = "/api/v1/openapi.json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Rolegate",
        description = "Who you are, the AWS roles that you may open, their credentials and consoles, and your \
            sessions.\n\nSay who you are with every request: `Authorization: Bearer TOKEN` with a broker \
            token or a trusted issuer's token, or a user name and a password by HTTP Basic \
            (`user:password`, or `connector:user:password` where there are several directories). Cookies \
            are not looked at.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    components(schemas(ErrorBody)),
    modifiers(&Schemes),
    tags(
        (name = "You", description = "Who calls."),
        (name = "Roles", description = "What you may open, and opening it."),
        (name = "Sessions", description = "What AWS issued for you, and what holds tokens for you."),
        (name = "Container credentials", description = "What AWS's SDKs ask for where \
            `AWS_CONTAINER_CREDENTIALS_FULL_URI` is set; errors are `code` and `message`."),
        (name = "Helpdesk and audit", description = "For whoever may see more than their own."),
        (name = "About", description = "This API.")
    )
)]
struct Base;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A broker token of `rolegate login`, one made by hand, or a token of a trusted issuer. What a \
                 broker token may be used for are its scopes.",
            ))
            .build();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        let password = HttpBuilder::new()
            .scheme(HttpAuthScheme::Basic)
            .description(Some(
                "User name and password of the directory; `connector:user` where there are several.",
            ))
            .build();
        components.add_security_scheme("password", SecurityScheme::Http(password));
    }
}

/// Every operation, as route and as document.
pub(super) fn operations() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Base::openapi())
        .routes(routes!(me::show))
        .routes(routes!(me::log_out))
        .routes(routes!(super::roles::list))
        .routes(routes!(opening::credentials))
        .routes(routes!(opening::console))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::revoke))
        .routes(routes!(staff::mappings))
        .routes(routes!(staff::audit))
        .routes(routes!(tokens::list, tokens::make))
        .routes(routes!(tokens::end))
        .merge(super::container::routes())
        .routes(routes!(show))
}

static DOCUMENT: LazyLock<serde_json::Value> = LazyLock::new(|| {
    let mut document = operations().into_openapi();
    for (path, item) in &mut document.paths.paths {
        let has_name = path.contains('{');
        let operations = [&mut item.get, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            add_errors(operation, path, has_name);
        }
    }
    let mut value = serde_json::to_value(document).unwrap_or_default();
    if let Some(info) = value.get_mut("info") {
        info["version"] = json!(env!("CARGO_PKG_VERSION"));
    }
    value
});

/// The document.
pub(super) fn document() -> &'static serde_json::Value {
    &DOCUMENT
}

/// This document
///
/// The OpenAPI document of the API, made of the code that answers it.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", operation_id = "openapi", tag = "About",
    security(()),
    responses((status = 200, description = "The document.", body = Object))
)]
pub(super) async fn show() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, document().to_string()).into_response()
}

/// The statuses that every operation of a kind can have, beside those that it names itself.
fn add_errors(operation: &mut Operation, path: &str, has_name: bool) {
    let mut errors = vec![
        ("500", "Rolegate made a mistake."),
        ("504", "It took too long."),
    ];
    if path != PATH {
        errors.extend([
            (
                "400",
                "Something in the request cannot be used; `message` says what.",
            ),
            (
                "401",
                "It is not known who calls; `authenticated` is false.",
            ),
            ("403", "You may not, or not so."),
            (
                "429",
                "You ask too often; `Retry-After` says when to ask again.",
            ),
            (
                "503",
                "The directory, AWS or the store does not answer; ask again later.",
            ),
        ]);
    }
    if has_name {
        errors.push((
            "404",
            "There is nothing of that name, or it is somebody else's.",
        ));
    }
    if operation.request_body.is_some() {
        errors.extend([
            ("413", "The body is too large."),
            ("415", "The body is not JSON by its `Content-Type`."),
        ]);
    }
    if path.ends_with("/credentials") || path.ends_with("/console") || path.contains("/container") {
        errors.push(("502", "AWS refused."));
    }
    let responses = &mut operation.responses.responses;
    for (status, description) in errors {
        let response = || RefOr::T(error_response(status, description));
        responses.entry(status.to_owned()).or_insert_with(response);
    }
}

fn error_response(status: &str, description: &str) -> openapi::Response {
    let schema = Ref::from_schema_name(ErrorBody::name());
    let content = Content::new(Some(schema));
    let response = ResponseBuilder::new()
        .description(description)
        .content("application/json", content);
    let text = || Header::new(String::schema());
    let response = match status {
        "429" | "503" => {
            let seconds = ObjectBuilder::new().schema_type(Type::Integer);
            response.header("Retry-After", Header::new(seconds))
        }
        "401" => response.header("WWW-Authenticate", text()),
        _ => response,
    };
    response.build()
}
