//! A BFD engine without I/O.
