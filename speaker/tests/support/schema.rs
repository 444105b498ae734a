//! Whether a value is what a JSON Schema says, as far as `openapi.json` uses it.

use serde_json::Value;

/// Says where the value is something else.
pub(crate) fn check(
    document: &Value,
    schema: &Value,
    value: &Value,
    at: &str,
) -> Result<(), String> {
    let Some(keywords) = schema.as_object() else {
        return match schema {
            Value::Bool(true) => Ok(()),
            _ => Err(format!("{at}: may not be there: {value}")),
        };
    };
    for (keyword, rule) in keywords {
        let holds = match keyword.as_str() {
            "$ref" => {
                let pointer = rule.as_str().unwrap().trim_start_matches('#');
                let schema = document.pointer(pointer);
                let schema = schema.ok_or_else(|| format!("{at}: {rule} leads nowhere"))?;
                check(document, schema, value, at)?;
                true
            }
            "type" => match rule {
                Value::Array(kinds) => kinds.iter().any(|kind| is(kind, value)),
                kind => is(kind, value),
            },
            "properties" => {
                for (name, schema) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        check(document, schema, value, &format!("{at}.{name}"))?;
                    }
                }
                true
            }
            "required" => {
                let mut names = rule.as_array().unwrap().iter();
                let missing = names.find(|name| value.get(name.as_str().unwrap()).is_none());
                if let Some(missing) = missing.filter(|_| value.is_object()) {
                    return Err(format!("{at}: {missing} is missing: {value}"));
                }
                true
            }
            "additionalProperties" => {
                let known = keywords.get("properties").and_then(Value::as_object);
                for (name, value) in value.as_object().into_iter().flatten() {
                    if known.is_none_or(|known| !known.contains_key(name)) {
                        check(document, rule, value, &format!("{at}.{name}"))?;
                    }
                }
                true
            }
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    check(document, rule, value, &format!("{at}[{index}]"))?;
                }
                true
            }
            "anyOf" | "oneOf" => {
                let mut schemas = rule.as_array().unwrap().iter();
                schemas.any(|schema| check(document, schema, value, at).is_ok())
            }
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "minimum" => value
                .as_f64()
                .is_none_or(|value| value >= rule.as_f64().unwrap()),
            "maximum" => value
                .as_f64()
                .is_none_or(|value| value <= rule.as_f64().unwrap()),
            "title" | "description" | "format" | "default" => true,
            other => return Err(format!("{at}: the check does not know {other}")),
        };
        if !holds {
            return Err(format!(
                "{at}: {keyword} must be {rule}, and there is {value}"
            ));
        }
    }
    Ok(())
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("there is no type {other}"),
    }
}
