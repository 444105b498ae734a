//! `[[hook]]`: programs that are run when something comes up or goes down.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::super::document::{Expected, Located, Section, nearest};
use super::super::health::why_not_executable;
use super::super::{HookConfig, HookSubject, Name, ServiceConfig, ServiceName, value};
use super::{MILLISECOND, SECOND, one_of, unique};

/// The hooks that could be read; `names` is who there is to be told of, with the line.
pub(super) fn read_hooks(
    sections: Vec<Section<'_>>,
    names: &BTreeMap<String, usize>,
    services: &BTreeMap<ServiceName, Arc<ServiceConfig>>,
) -> Vec<HookConfig> {
    let services: BTreeSet<&str> = services.keys().map(ServiceName::as_str).collect();
    let mut hooks = Vec::new();
    let mut taken = BTreeMap::new();
    for mut section in sections {
        let name = section.take("name", value::name::<Name>);
        let on = section.take_list("on", subject);
        let exec = section.take_list("exec", argument);
        let timeout = section.take(
            "timeout",
            value::duration_between(100 * MILLISECOND, 3600 * SECOND),
        );
        let wanted = section.take_list("names", value::name::<Name>);
        section.finish();
        let on = required(
            &section,
            "on",
            on,
            "what to tell of: [\"peer\"], [\"bfd\"], [\"service\"] or several of them",
        );
        let exec = required(
            &section,
            "exec",
            exec,
            "the program and its arguments, such as [\"/usr/local/bin/page-me\"]",
        );
        let (Some(on), Some(exec)) = (on, exec) else {
            check_names(&section, wanted.as_deref(), names, &services, false);
            continue;
        };
        let of_services = on.iter().any(|on| on.value == HookSubject::Service);
        check_names(&section, wanted.as_deref(), names, &services, of_services);
        let Some(name) = name.or_else(|| named_by(&section, &exec)) else {
            continue;
        };
        let is_new = unique(
            &section,
            "name",
            &name,
            name.value.as_str().to_owned(),
            &mut taken,
        );
        if !is_absolute(&section, &exec) || !is_new {
            continue;
        }
        if let Some(program) = exec.first()
            && let Some(reason) = why_not_executable(&program.value)
        {
            let text = format!(
                "{}: cannot be run here: {reason}; nobody is told until it can",
                program.value
            );
            section.warning(program.line, "exec", text);
        }
        hooks.push(HookConfig {
            name: name.value,
            on: on.into_iter().map(|subject| subject.value).collect(),
            names: wanted.map(names_of),
            exec: exec.into_iter().map(|argument| argument.value).collect(),
            timeout: timeout.map_or(HookConfig::DEFAULT_TIMEOUT, |timeout: Located<Duration>| {
                timeout.value
            }),
        });
    }
    hooks
}

fn names_of(names: Vec<Located<Name>>) -> BTreeSet<String> {
    names
        .into_iter()
        .map(|name| name.value.as_str().to_owned())
        .collect()
}

fn subject(value: &DeValue<'_>) -> Result<HookSubject, Expected> {
    match value.as_str() {
        Some("peer") => Ok(HookSubject::Peer),
        Some("bfd") => Ok(HookSubject::Bfd),
        Some("service") => Ok(HookSubject::Service),
        _ => Err("\"peer\", \"bfd\" or \"service\"".into()),
    }
}

pub(super) fn argument(value: &DeValue<'_>) -> Result<String, Expected> {
    value
        .as_str()
        .filter(|text| !text.contains('\0'))
        .map(str::to_owned)
        .ok_or_else(|| "a text".into())
}

/// A list that is there and has something in it.
fn required<T>(
    section: &Section<'_>,
    key: &'static str,
    list: Option<Vec<Located<T>>>,
    expected: &str,
) -> Option<Vec<Located<T>>> {
    let list = list.filter(|list| !list.is_empty());
    if list.is_none() && !section.has_error(key) {
        section.error(section.line, key, format!("is missing; must be {expected}"));
    }
    list
}

/// What a shell would look for is not looked for.
pub(super) fn is_absolute(section: &Section<'_>, exec: &[Located<String>]) -> bool {
    let Some(program) = exec.first() else {
        return false;
    };
    let is_absolute = Path::new(&program.value).is_absolute();
    if !is_absolute {
        section.refuse(
            "exec",
            program,
            "the absolute path of a program, such as \"/usr/local/bin/page-me\"",
        );
    }
    is_absolute
}

/// A hook without a name has that of its program.
fn named_by(section: &Section<'_>, exec: &[Located<String>]) -> Option<Located<Name>> {
    if section.has_error("name") {
        return None;
    }
    let program = exec.first()?;
    let file = Path::new(&program.value).file_name();
    let name = file.and_then(|file| Name::new(&file.to_string_lossy()));
    if name.is_none() {
        let text = "is missing; must be there, for the program's name is none for a hook";
        section.error(section.line, "name", text.to_owned());
    }
    Some(Located {
        value: name?,
        line: program.line,
        found: program.found.clone(),
    })
}

fn check_names(
    section: &Section<'_>,
    wanted: Option<&[Located<Name>]>,
    names: &BTreeMap<String, usize>,
    services: &BTreeSet<&str>,
    of_services: bool,
) {
    for name in wanted.into_iter().flatten() {
        let wanted = name.value.as_str();
        if names.contains_key(wanted) || services.contains(wanted) {
            continue;
        }
        let known = names.keys().map(String::as_str);
        let known = known.chain(services.iter().copied());
        let near = nearest(wanted, known.clone());
        if of_services {
            // It may be one that is yet to be added at run time.
            let hint = near.map_or_else(String::new, |near| {
                format!("; the nearest name is {near:?}")
            });
            section.warning(
                name.line,
                "names",
                format!("{} is nothing in this file{hint}", name.found),
            );
            continue;
        }
        let what = "the name of a [[peer]], a [[peer-range]], a [[bfd-session]], a [[bfd-range]] or a [[service]]";
        section.refuse("names", name, &one_of(what, wanted, known));
    }
}
