//! The Adj-RIB-Out of one session (RFC 4271 §3.2): what the neighbor should have, what it has, and
//! the UPDATEs between the two.
//!
//! The caller says what it wants as a whole; the difference is worked out in the [`Table`].
//! Withdrawals go first and never wait behind announcements. A prefix that changes several times
//! before the connection takes an UPDATE costs one UPDATE. Sessions that share a table share what
//! is encoded.

mod dialect;
mod table;

use std::net::IpAddr;

use bytes::BytesMut;
use ipnet::IpNet;

use self::table::ReaderId;
use crate::route::Routes;
use crate::types::Family;

pub(crate) use dialect::Dialect;
pub use table::Table;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct AdjRibOut {
    table: Table,
    /// The table may be shared, and is not this session's to change.
    is_given: bool,
    /// `None` while there is no session.
    reader: Option<ReaderId>,
    /// End-of-RIB waits, for the routes are not complete.
    holds_end_of_rib: bool,
}

/// A route whose attributes leave no room for a prefix in any message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsendable {
    pub(crate) prefix: IpNet,
}

/// How far a family is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) next_hop: Option<IpAddr>,
    pub(crate) advertised: usize,
    pub(crate) pending: usize,
    pub(crate) end_of_rib_sent: bool,
}

impl AdjRibOut {
    /// Replaces the routes that the neighbor should have.
    pub(crate) fn set_routes(&mut self, routes: &Routes) {
        if !self.is_given {
            return self.table.set_routes(routes);
        }
        let table = Table::default();
        table.set_routes(routes);
        self.set_table(table);
        self.is_given = false;
    }

    /// Replaces the table whose routes the neighbor should have.
    pub(crate) fn set_table(&mut self, table: Table) {
        self.is_given = true;
        if self.table.is(&table) {
            return;
        }
        let before = std::mem::replace(&mut self.table, table);
        if let Some(id) = self.reader.take() {
            let mut leaving = before.lock();
            let (held, due) = (leaving.held(id), leaving.end_of_rib_due(id));
            let dialect = leaving.dialect(id).cloned();
            leaving.end(id);
            drop(leaving);
            self.reader = dialect.map(|dialect| self.table.lock().take_over(dialect, &held, due));
        }
    }

    /// A session is up: everything is to be sent, then End-of-RIB.
    pub(crate) fn begin(&mut self, dialect: Dialect) {
        self.end();
        self.reader = Some(self.table.lock().begin(dialect));
    }

    /// The session is down: the neighbor has nothing.
    pub(crate) fn end(&mut self) {
        if let Some(id) = self.reader.take() {
            self.table.lock().end(id);
        }
    }

    /// The neighbor asks for the routes of a family once more (RFC 2918 §4).
    pub(crate) fn refresh(&mut self, family: Family) {
        if let Some(id) = self.reader {
            self.table.lock().refresh(id, family);
        }
    }

    /// The next hops changed, or routes are to go: what the neighbor has is not what it should have.
    pub(crate) fn set_dialect(&mut self, dialect: Dialect) {
        let Some(id) = self.reader else { return };
        let mut table = self.table.lock();
        if table.dialect(id) == Some(&dialect) {
            return;
        }
        // What it has, it has with other attributes.
        let mut held = table.held(id);
        held.values_mut().for_each(|attributes| *attributes = None);
        let due = table.end_of_rib_due(id);
        table.end(id);
        self.reader = Some(table.take_over(dialect, &held, due));
    }

    /// Whether End-of-RIB waits.
    pub(crate) const fn hold_end_of_rib(&mut self, hold: bool) {
        self.holds_end_of_rib = hold;
    }

    /// Where `family` stands.
    pub(crate) fn progress(&self, family: Family) -> Progress {
        let progress = self.reader.map(|id| self.table.lock().progress(id, family));
        progress.unwrap_or_default()
    }

    /// The routes that the neighbor has.
    pub(crate) fn advertised(&self) -> Routes {
        let Some(id) = self.reader else {
            return Routes::new();
        };
        let held = self.table.lock().held(id);
        let routes = held.into_iter().filter(|(path, _)| path.is_first());
        routes
            .map(|(path, attributes)| (path.prefix, attributes.unwrap_or_default()))
            .collect()
    }

    /// Appends the next UPDATE to `out`; `false` when the neighbor has everything.
    ///
    /// # Errors
    /// A route that no message can hold; it is withdrawn if the neighbor has an older one. The next
    /// call goes on behind it.
    pub(crate) fn next_update(&mut self, out: &mut BytesMut) -> Result<bool, Unsendable> {
        match self.reader {
            Some(id) => {
                let may_end = !self.holds_end_of_rib;
                self.table.lock().next_update(id, may_end, out)
            }
            None => Ok(false),
        }
    }
}

impl Drop for AdjRibOut {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests;
