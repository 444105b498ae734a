//! UPDATE (RFC 4271 §4.3, RFC 4760).

use ipnet::Ipv4Net;

use super::attribute::Attribute;

/// An UPDATE, everything in the order in which it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// IPv4 prefixes that are no more.
    pub withdrawn_routes: Vec<Ipv4Net>,
    /// What is said of the others, MP_REACH_NLRI and MP_UNREACH_NLRI included.
    pub attributes: Vec<Attribute>,
    /// IPv4 prefixes that it is said of.
    pub nlri: Vec<Ipv4Net>,
}
