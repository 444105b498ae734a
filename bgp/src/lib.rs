//! A BGP-4 engine without I/O.
