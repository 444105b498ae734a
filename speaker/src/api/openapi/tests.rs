//! The file says what the types say.

use std::collections::BTreeMap;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::super::handlers::{
    ConfigStatus, DrainRequest, Farewell, RefreshRequest, RefreshStatus, Stop, StopStatus,
    WarningStatus,
};
use super::super::problem::Problem;
use super::TEXT;
use super::operations::{Body, Operation, operations};
use crate::additions::{RouteSpec, ServiceSpec};
use crate::status::{
    AdvertisedRouteStatus, BfdStatus, DaemonStatus, EventStatus, GivenStatus, PeerStatus,
    PoolStatus, ReceivedRouteStatus, ReloadStatus, RouteDetailStatus, RouteStatus, ServiceStatus,
    StoredStatus,
};

/// Set, it has the test write the file.
const WRITE: &str = "HERALD_WRITE_OPENAPI";

#[test]
fn the_file_says_what_the_types_say() {
    let right = format!("{:#}\n", document());
    if std::env::var_os(WRITE).is_some() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api/openapi.json");
        std::fs::write(file, &right).unwrap();
        return;
    }
    assert!(
        right == TEXT,
        "openapi.json is not what the API is; `{WRITE}=1 cargo test -p herald openapi` writes it anew"
    );
}

/// docs/openapi.json is the same file by another name; a copy would go its own way.
#[test]
fn the_documentation_has_the_same_file() {
    let docs = include_str!("../../../../docs/openapi.json");
    assert!(
        docs == TEXT,
        "docs/openapi.json is to be a symbolic link to ../speaker/src/api/openapi.json"
    );
}

#[test]
fn no_description_links_into_the_source() {
    for line in TEXT.lines().filter(|line| line.contains("\"description\"")) {
        for link in ["[`", "](", "super::", "crate::"] {
            assert!(!line.contains(link), "{link} in{line}");
        }
    }
}

fn document() -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in operations() {
        let methods = paths.entry(operation.path).or_default();
        let described = described(&operation);
        assert!(
            methods
                .insert(operation.method.to_owned(), described)
                .is_none()
        );
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Herald",
            "version": "1",
            "description": "Announces service addresses to routers over BGP. At the Unix socket everything is served, over TCP what changes nothing (GET).",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "http://herald", "description": "The host's name does not matter at a Unix socket." }],
        "paths": paths,
        "components": { "schemas": schemas() },
    })
}

fn described(operation: &Operation) -> Value {
    let in_path = operation
        .path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'));
    let in_path = in_path.map(|(name, _)| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let in_query = operation.query.iter().map(|[name, kind, meaning]| {
        json!({ "name": name, "in": "query", "description": meaning, "schema": { "type": kind } })
    });
    let mut parameters: Vec<Value> = in_path.chain(in_query).collect();
    if operation.path == "/v1/events" {
        parameters.push(json!({
            "name": "Last-Event-ID", "in": "header",
            "description": "With follow: begin after this event", "schema": { "type": "integer" },
        }));
    }
    let mut answers = Map::new();
    for (status, body, meaning) in &operation.answers {
        let mut answer = json!({ "description": meaning });
        if let Some(content) = content(body) {
            answer["content"] = content;
        }
        if operation.path == "/v1/events" {
            answer["content"]["text/event-stream"] = json!({ "schema": { "type": "string" } });
        }
        answers.insert(status.to_string(), answer);
    }
    answers.insert(
        "default".to_owned(),
        json!({
            "description": "It was not done; nothing has changed.",
            "content": { "application/problem+json": { "schema": reference("Problem") } },
        }),
    );
    let mut described = json!({ "summary": operation.summary, "responses": answers });
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(name) = operation.request {
        described["requestBody"] = json!({
            "required": false,
            "content": { "application/json": { "schema": reference(name) } },
        });
    }
    described
}

fn content(body: &Body) -> Option<Value> {
    let text = json!({ "type": "string" });
    let (media, schema) = match body {
        Body::One(name) => ("application/json", reference(name)),
        Body::Many(name) => (
            "application/json",
            json!({ "type": "array", "items": reference(name) }),
        ),
        Body::Of("application/json") => ("application/json", json!({ "type": "object" })),
        Body::Of(media) => (*media, text),
        Body::Either([one, other]) => {
            let content = json!({ *one: { "schema": text }, *other: { "schema": text } });
            return Some(content);
        }
        Body::Nothing => return None,
    };
    Some(json!({ media: { "schema": schema } }))
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn schemas() -> Value {
    let mut answers = generator(SchemaSettings::draft2020_12().for_serialize());
    answers.subschema_for::<DaemonStatus>();
    answers.subschema_for::<ConfigStatus>();
    answers.subschema_for::<PeerStatus>();
    answers.subschema_for::<AdvertisedRouteStatus>();
    answers.subschema_for::<ReceivedRouteStatus>();
    answers.subschema_for::<BfdStatus>();
    answers.subschema_for::<RouteStatus>();
    answers.subschema_for::<RouteDetailStatus>();
    answers.subschema_for::<ServiceStatus>();
    answers.subschema_for::<EventStatus>();
    answers.subschema_for::<ReloadStatus>();
    answers.subschema_for::<RefreshStatus>();
    answers.subschema_for::<StopStatus>();
    answers.subschema_for::<WarningStatus>();
    answers.subschema_for::<PoolStatus>();
    answers.subschema_for::<GivenStatus>();
    answers.subschema_for::<StoredStatus>();
    answers.subschema_for::<Problem>();
    let mut requests = generator(SchemaSettings::draft2020_12().for_deserialize());
    requests.subschema_for::<ServiceSpec>();
    requests.subschema_for::<RouteSpec>();
    requests.subschema_for::<Farewell>();
    requests.subschema_for::<RefreshRequest>();
    requests.subschema_for::<Stop>();
    requests.subschema_for::<DrainRequest>();
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    for generator in [&mut answers, &mut requests] {
        for (name, mut schema) in generator.take_definitions(true) {
            close(&mut schema);
            let former = all.insert(name.clone(), schema);
            assert!(former.is_none(), "{name} is of an answer and of a request");
        }
    }
    json!(all)
}

fn generator(settings: SchemaSettings) -> SchemaGenerator {
    settings
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator()
}

/// What is not described is not there.
fn close(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut() {
        object.remove("unevaluatedProperties");
        if object.contains_key("properties") {
            object.insert("additionalProperties".to_owned(), false.into());
        }
        object.values_mut().for_each(close);
    } else if let Some(array) = schema.as_array_mut() {
        array.iter_mut().for_each(close);
    }
}
