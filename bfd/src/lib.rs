#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod packet;

pub use crate::packet::{
    AuthenticationSection, ControlPacket, Diagnostic, Micros, ParseError, PollFinal, State,
};
