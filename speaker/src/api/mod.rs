//! The one way in: HTTP and JSON, on a Unix socket for control and on TCP for looking only.
//!
//! `handlers` has what can be asked, `request` how it is understood, `naming` whom it means, `events` how to follow what happens, `capture` the files for Wireshark, `listen` the sockets,
//! `server` the connections and `lease` their limits, `thread` who answers them, `page` the page for people,
//! `problem` the errors, `openapi` the description of it all.

mod array;
mod capture;
mod events;
mod handlers;
mod lease;
mod listen;
mod naming;
mod openapi;
mod page;
mod problem;
mod request;
mod server;
mod thread;

pub(crate) use capture::CAPTURE_NEXT;
pub(crate) use handlers::{
    ConfigStatus, DrainRequest, Exit, Farewell, RefreshRequest, RefreshStatus, Stop, StopStatus,
    WarningStatus,
};
pub use handlers::{control, paths, viewing};
pub use listen::{BindError, ControlSocket, Viewers, bind_tcp};
pub use problem::Problem;
pub(crate) use server::SERVER;
pub use server::Server;
pub use thread::ApiThread;
