//! The description of the API for programs: `openapi.json`, also at `/v1/openapi.json`. It is written by
//! the tests from the types that the API is made of, so that a test fails where it is not true; and
//! what a running daemon answers is compared with it.

/// OpenAPI 3.1.
pub(super) const TEXT: &str = include_str!("../openapi.json");

#[cfg(test)]
mod operations;
#[cfg(test)]
mod tests;
