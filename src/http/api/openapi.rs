//! The API's own description, `OpenAPI` 3.1: routes and types as they are written beside the handlers, and here what holds for
//! all of them.

use utoipa::{
    PartialSchema as _, ToSchema as _,
    openapi::{
        ComponentsBuilder, ContentBuilder, HttpMethod, InfoBuilder, KnownFormat, OpenApi, OpenApiBuilder, PathItem,
        Ref, RefOr, Required, ResponseBuilder, Schema, SchemaFormat, Server,
        path::{Operation, Parameter, ParameterBuilder, ParameterIn},
        schema::{Object, SchemaType, Type},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use super::{
    measured,
    problem::ProblemBody,
    table::{self, Access},
};

/// Bodies that callers send: their members are required where the type says so.
const SENT: [&str; 16] = [
    "BulkAsked",
    "SignIn",
    "NewRequest",
    "NewRequests",
    "Reason",
    "Nudging",
    "Suspension",
    "Resumption",
    "Note",
    "Snoozing",
    "Testing",
    "Retrying",
    "Auditing",
    "NewUser",
    "UserPatch",
    "NewToken",
];

/// Objects whose members are left out where they were not asked for, or say nothing.
const SPARSE: [&str; 1] = ["Beside"];

/// What is done to one object: not where it has changed since the caller read it, or where it stands otherwise.
const ACTS: [&str; 8] = ["cancel", "retry", "nudge", "suspend", "resume", "acknowledge", "snooze", "resolve"];

/// Where something may be asked for only so often.
const SELDOM: [&str; 2] = ["/api/v1/session", "/api/v1/channels/{name}/test"];

/// Members of a problem that are not always there.
const SOMETIMES: [&str; 2] = ["errors", "current"];

/// The answer that every problem is.
const PROBLEM: &str = "Problem";

/// What stands before the routes.
pub(super) fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("amplinkd")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Links mini programs to WeChat official accounts, and follows every request to its end. Fields are only ever \
             added; docs/database.md describes those of the rows, docs/http.md every problem.",
        ))
        .license(None::<utoipa::openapi::License>);
    OpenApiBuilder::new().info(info.build()).build()
}

/// Adds to the routes what all of them have.
pub(super) fn finished(mut api: OpenApi) -> OpenApi {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name(PROBLEM))).build();
    let problem = ResponseBuilder::new()
        .description("Why it was not done; `code` says which problem it is")
        .content("application/problem+json", problem)
        .build();
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("amplinkd_<id>_<secret>");
    let session = ApiKey::Cookie(ApiKeyValue::with_description(
        "amplinkd",
        "A session; its name ends in the port where one is in the address, as in amplinkd-8750, and begins with __Host- behind TLS",
    ));
    let mut schemas = Vec::new();
    ProblemBody::schemas(&mut schemas);
    schemas.push((PROBLEM.to_owned(), ProblemBody::schema()));
    let mut components = api.components.take().unwrap_or_else(|| ComponentsBuilder::new().build());
    components.schemas.extend(schemas);
    components.responses.insert(PROBLEM.to_owned(), problem.into());
    components.add_security_scheme("token", SecurityScheme::Http(token.build()));
    components.add_security_scheme("session", SecurityScheme::ApiKey(session));
    for (name, schema) in &mut components.schemas {
        complete(name, schema);
    }
    api.components = Some(components);
    for (path, item) in &mut api.paths.paths {
        for (method, operation) in operations(item) {
            common(path, &method, operation);
        }
    }
    api
}

/// The operations of a path.
fn operations(item: &mut PathItem) -> Vec<(HttpMethod, &mut Operation)> {
    let PathItem { get, post, delete, patch, put, .. } = item;
    [
        (HttpMethod::Get, get),
        (HttpMethod::Post, post),
        (HttpMethod::Delete, delete),
        (HttpMethod::Patch, patch),
        (HttpMethod::Put, put),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
    .collect()
}

/// Statuses and credentials of an operation that its handler need not repeat.
fn common(path: &str, method: &HttpMethod, operation: &mut Operation) {
    let is_get = matches!(method, HttpMethod::Get);
    let known = match method {
        HttpMethod::Post => axum::http::Method::POST,
        HttpMethod::Delete => axum::http::Method::DELETE,
        HttpMethod::Patch => axum::http::Method::PATCH,
        HttpMethod::Put => axum::http::Method::PUT,
        _ => axum::http::Method::GET,
    };
    let access = table::access(&known, path);
    if is_act(path) {
        operation.parameters.get_or_insert_default().push(if_match().into());
    }
    let statuses = refusals(path, is_get, access, operation.request_body.is_some());
    let responses = &mut operation.responses.responses;
    for status in statuses {
        responses.entry(status.to_owned()).or_insert_with(|| RefOr::Ref(Ref::from_response_name(PROBLEM)));
    }
    if is_get && !is_probe(path) {
        let known = ResponseBuilder::new().description("It is as it was: `If-None-Match` names its ETag").build();
        responses.insert("304".to_owned(), known.into());
    }
    texts(operation);
    operation.security = Some(if access == Some(Access::Open) {
        Vec::new()
    } else {
        ["token", "session"].map(|scheme| SecurityRequirement::new(scheme, Vec::<String>::new())).into()
    });
}

/// Whether it changes one thing that was read before.
fn is_act(path: &str) -> bool {
    let is_word = path.rsplit('/').next().is_some_and(|last| ACTS.contains(&last));
    is_word && path.contains("/{") && !path.contains("/deliveries/")
}

fn is_probe(path: &str) -> bool {
    !path.starts_with("/api/") && path != measured::PATH
}

/// Statuses that problems of such an operation have.
fn refusals(path: &str, is_get: bool, access: Option<Access>, has_body: bool) -> Vec<&'static str> {
    let is_change_of = |paths: &[&str]| !is_get && paths.contains(&path);
    // What needs a role, and what another site sent.
    let is_forbidden = matches!(access, Some(Access::May(..))) || !is_get;
    let wanted: [(bool, &[&'static str]); 11] = [
        (true, &["500", "503"]),
        (!is_probe(path), &["401", "421", "422"]),
        // Of those who ask for more.
        (is_probe(path), &["401", "403", "421", "422"]),
        (is_forbidden, &["403"]),
        // What is no text is malformed.
        (path.contains('{'), &["400", "404"]),
        (has_body, &["400", "413", "415"]),
        (has_body && SELDOM.contains(&path), &["429"]),
        (is_act(path), &["409", "412"]),
        (is_change_of(&["/api/v1/requests", "/api/v1/requests/batch", "/api/v1/actions", "/api/v1/backups"]), &["409"]),
        (path == "/api/v1/events", &["406"]),
        (["/api/v1/backups", "/api/v1/component"].contains(&path), &["404"]),
    ];
    wanted.into_iter().filter(|(is_wanted, _)| *is_wanted).flat_map(|(_, statuses)| statuses).copied().collect()
}

/// Texts that the format wants, and one name for each operation, as clients are generated by it.
fn texts(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            "What was asked for".clone_into(&mut response.description);
        }
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        if parameter.description.is_none() {
            parameter.description = meaning(&parameter.name).map(str::to_owned);
        }
        if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema {
            object.schema_type = without_null(&object.schema_type);
        }
    }
    if let (Some(name), Some(tag)) = (&mut operation.operation_id, operation.tags.iter().flatten().next())
        && !name.starts_with(tag.as_str())
    {
        *name = format!("{tag}_{name}");
    }
}

/// What is left out of a query or a header is absent: neither can hold a null.
fn without_null(kind: &SchemaType) -> SchemaType {
    let SchemaType::Array(kinds) = kind else { return kind.clone() };
    let mut kinds = kinds.iter().filter(|kind| **kind != Type::Null);
    match (kinds.next(), kinds.next()) {
        (Some(only), None) => SchemaType::Type(only.clone()),
        _ => kind.clone(),
    }
}

/// The condition that an act may have.
fn if_match() -> Parameter {
    ParameterBuilder::new()
        .name("If-Match")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("The ETag of the object: where it has changed since, nothing is done (412)"))
        .schema(Some(Object::with_type(Type::String)))
        .build()
}

/// What a parameter means that has a list of words, and so no text of its own.
fn meaning(parameter: &str) -> Option<&'static str> {
    Some(match parameter {
        "action" => "Only of this kind",
        "include" => "What to show beside it; repeated, or with commas",
        "kind" => "Only of this kind",
        "label" => "Only with this label, as NAME=VALUE; repeatable",
        "of" => "What the id is of",
        "rule" => "Only of this rule",
        "since" => {
            "Only requests that came to their state so long ago at most, such as `24h`, or at this time or later"
        }
        "state" => "Only in this state; where it is a list, repeated, or with commas",
        "suspended_by" => "Only suspended by `operator`, by `wechat`, or by WeChat with one of these codes",
        "trouble" => "Only accounts whose list cannot be read, for one of these reasons",
        "until" => "Only requests that came to their state longer ago than this, such as `3d`, or before this time",
        _ => return None,
    })
}

/// Whatever we send has all of its members, moments among them.
fn complete(name: &str, schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => complete_object(name, object),
        Schema::AllOf(all) => all.items.iter_mut().for_each(|item| complete(name, item)),
        Schema::OneOf(one) => one.items.iter_mut().for_each(|item| complete(name, item)),
        Schema::AnyOf(any) => any.items.iter_mut().for_each(|item| complete(name, item)),
        _ => {}
    }
}

fn complete_object(name: &str, object: &mut Object) {
    for (member, schema) in &mut object.properties {
        let is_moment = ["at", "since"].contains(&member.as_str())
            || ["_at", "_since", "_until"].iter().any(|ending| member.ends_with(ending));
        if let (true, RefOr::T(Schema::Object(value))) = (is_moment, schema)
            && is_text(&value.schema_type)
        {
            value.format = Some(SchemaFormat::KnownFormat(KnownFormat::DateTime));
        }
    }
    if !SENT.contains(&name) && !SPARSE.contains(&name) {
        let is_always = |member: &&String| name != PROBLEM || !SOMETIMES.contains(&member.as_str());
        object.required = object.properties.keys().filter(is_always).cloned().collect();
    }
}

fn is_text(kind: &SchemaType) -> bool {
    match kind {
        SchemaType::Type(kind) => *kind == Type::String,
        SchemaType::Array(kinds) => kinds.contains(&Type::String),
        SchemaType::AnyValue => false,
    }
}

/// The same below a base.
pub(super) fn at(base: &str, mut api: OpenApi) -> OpenApi {
    if !base.is_empty() {
        api.servers = Some(vec![Server::new(base)]);
    }
    api
}
