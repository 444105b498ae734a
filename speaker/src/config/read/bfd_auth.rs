//! `auth` of `[[bfd-profile]]`: a table, or a list of them.

use bfd::AuthenticationError;

use crate::config::bfd_auth::{BfdAuth, BfdKey};
use crate::config::document::Section;
use crate::config::password::exposure;
use crate::config::value;

const AUTH: &str = "auth";
const EXAMPLE: &str = "{ type = \"meticulous-keyed-sha1\", key-id = 7, key-file = \"/etc/herald/bfd.key\" }, or a list of such tables";
const KEY_FILE: &str = "key-file";
const KEY_FILE_EXAMPLE: &str =
    "the absolute path of a file with a key, such as \"/etc/herald/bfd.key\"";

/// The keys of a profile, if there are any. What is wrong with them has been reported, and so nothing runs without them.
pub(super) fn read_auth(profile: &mut Section<'_>) -> Option<BfdAuth> {
    let (line, sections) = profile.take_inline_tables(AUTH, EXAMPLE)?;
    let keys: Option<Vec<BfdKey>> = sections.into_iter().map(read_key).collect();
    BfdAuth::new(keys?)
        .map_err(|error| profile.error(line, AUTH, advice(error)))
        .ok()
}

fn read_key(mut section: Section<'_>) -> Option<BfdKey> {
    let auth_type = section.require("type", value::AUTH_TYPES, value::auth_type);
    let id = section.require("key-id", "a number from 0 to 255", value::number::<u8>);
    let file = section.require_path_of_secret(
        KEY_FILE,
        KEY_FILE_EXAMPLE,
        value::key_file(KEY_FILE_EXAMPLE),
    );
    section.finish();
    let (auth_type, id, file) = (auth_type?, id?, file?);
    match BfdKey::load(auth_type.value, id.value, &file.value) {
        Ok(key) => {
            if let Some(warning) = exposure(key.file()) {
                section.warning(file.line, KEY_FILE, warning);
            }
            Some(key)
        }
        Err(wrong) => {
            let expected = format!("the path of a file with a key: {wrong}");
            section.refuse(KEY_FILE, &file, &expected);
            None
        }
    }
}

fn advice(error: AuthenticationError) -> String {
    match error {
        AuthenticationError::NoKey => {
            "the list is empty; must hold a key, or go away for BFD without authentication"
                .to_owned()
        }
        AuthenticationError::Types { one, other } => format!(
            "found {one} beside {other}; must be one type in all of the list, for a BFD session has one"
        ),
        AuthenticationError::KeyIdTwice(id) => {
            format!("found key-id {id} twice; must be different, for a packet names its key by it")
        }
    }
}
