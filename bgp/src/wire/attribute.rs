//! Path attributes (RFC 4271 §4.3, §5).

use crate::types::Origin;

/// One path attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attribute {
    /// Type 1.
    Origin(Origin),
}
