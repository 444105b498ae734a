//! What can be asked, beside what the types say.

/// What an answer has in it.
pub(super) enum Body {
    /// A value of this type.
    One(&'static str),
    /// An array of them.
    Many(&'static str),
    /// Something else than JSON of ours: its media type.
    Of(&'static str),
    /// The same by two media types; `Accept` chooses.
    Either([&'static str; 2]),
    Nothing,
}

pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    /// Name, type, and what it means.
    pub(super) query: Vec<[&'static str; 3]>,
    /// The type of the body, where there may be one.
    pub(super) request: Option<&'static str>,
    /// Status, body, and what it means.
    pub(super) answers: Vec<(u16, Body, &'static str)>,
}

impl Operation {
    fn new(method: &'static str, path: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            summary,
            query: Vec::new(),
            request: None,
            answers: Vec::new(),
        }
    }

    fn query(mut self, name: &'static str, kind: &'static str, meaning: &'static str) -> Self {
        self.query.push([name, kind, meaning]);
        self
    }

    /// The body may be missing.
    fn may_have(mut self, request: &'static str) -> Self {
        self.request = Some(request);
        self
    }

    fn answers(mut self, status: u16, body: Body, meaning: &'static str) -> Self {
        self.answers.push((status, body, meaning));
        self
    }

    fn is(self, body: Body) -> Self {
        self.answers(200, body, "It.")
    }

    fn done(self) -> Self {
        self.answers(204, Body::Nothing, "Done.")
    }

    /// Done, whether or not the disk takes it.
    fn done_anyway(self) -> Self {
        self.answers(
            200,
            Body::One("WarningStatus"),
            "Done, but not kept: it is lost if the daemon ends before the disk takes it.",
        )
        .done()
    }

    /// What is put is there afterwards, however often.
    fn stored(self, what: &'static str) -> Self {
        self.answers(
            200,
            Body::One(what),
            "It was there, and is as the request says.",
        )
        .answers(201, Body::One(what), "It is new.")
    }
}

fn get(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("get", path, summary)
}

fn post(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("post", path, summary)
}

fn put(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("put", path, summary)
}

fn delete(path: &'static str, summary: &'static str) -> Operation {
    Operation::new("delete", path, summary)
}

pub(super) fn operations() -> Vec<Operation> {
    use Body::{Either, Many, Of, One};
    vec![
        get("/", "A page for people").is(Of("text/html")),
        get(
            "/metrics",
            "Metrics for Prometheus; the older text format for who prefers text/plain",
        )
        .is(Either(["application/openmetrics-text", "text/plain"])),
        get("/healthz", "Whether the daemon answers").is(Of("text/plain")),
        get(
            "/readyz",
            "Whether a BGP session is established, or no peer is configured; 503 otherwise",
        )
        .is(Of("text/plain")),
        get("/v1/openapi.json", "This description").is(Of("application/json")),
        get("/v1/status", "The daemon itself").is(One("DaemonStatus")),
        get("/v1/config", "The configuration in force").is(One("ConfigStatus")),
        get("/v1/peers", "Every neighbor").is(Many("PeerStatus")),
        get("/v1/peers/{name}", "One neighbor").is(One("PeerStatus")),
        get(
            "/v1/peers/{name}/advertised",
            "The routes that it has from us",
        )
        .is(Many("AdvertisedRouteStatus")),
        get(
            "/v1/peers/{name}/received",
            "The routes that it has announced; 409 unless they are kept",
        )
        .is(Many("ReceivedRouteStatus")),
        get(
            "/v1/peers/{name}/capture",
            "The last messages of its sessions, as pcapng; 409 if none are kept",
        )
        .query(
            "from",
            "integer",
            "Only what comes after: what herald-capture-next of the former answer said",
        )
        .is(Of("application/x-pcapng")),
        get("/v1/bfd", "Every BFD session").is(Many("BfdStatus")),
        get(
            "/v1/bfd/{name}",
            "One BFD session, by its own name or its peer's",
        )
        .is(One("BfdStatus")),
        get("/v1/routes", "Every prefix, and who has it").is(Many("RouteStatus")),
        get(
            "/v1/routes/{prefix}",
            "One route, by its prefix or by an address in it; 404, with the reason, if it is not announced",
        )
        .is(One("RouteDetailStatus")),
        get("/v1/services", "Every service").is(Many("ServiceStatus")),
        get("/v1/services/{name}", "One service").is(One("ServiceStatus")),
        get("/v1/pools", "Every pool, and who has what of it").is(Many("PoolStatus")),
        get(
            "/v1/events",
            "What happened, the oldest first; or what happens, as server-sent events",
        )
        .query(
            "follow",
            "boolean",
            "Answer with server-sent events, which resume after Last-Event-ID",
        )
        .query("peer", "string", "Of this peer only")
        .query("bfd_session", "string", "Of this BFD session only")
        .query("service", "string", "Of this service only")
        .is(Many("EventStatus")),
        put(
            "/v1/services/{name}",
            "Add a service, or change one that was added",
        )
        .may_have("ServiceSpec")
        .stored("GivenStatus"),
        delete(
            "/v1/services/{name}",
            "Remove a service that was added; 404 if there is none",
        )
        .done_anyway(),
        put(
            "/v1/routes/{prefix}",
            "Announce a prefix, or announce it otherwise",
        )
        .may_have("RouteSpec")
        .stored("StoredStatus"),
        delete(
            "/v1/routes/{prefix}",
            "Withdraw a prefix that was announced; 404 if it was not",
        )
        .done_anyway(),
        post(
            "/v1/reload",
            "Read the configuration file again and apply what changed",
        )
        .query("dry-run", "boolean", "Only tell what would change")
        .is(One("ReloadStatus")),
        post(
            "/v1/peers/{name}/reset",
            "End the session; it starts again by itself",
        )
        .may_have("Farewell")
        .done(),
        post(
            "/v1/peers/{name}/shutdown",
            "End the session and keep it down",
        )
        .may_have("Farewell")
        .done_anyway(),
        post(
            "/v1/peers/{name}/enable",
            "Let a session that was shut down start again",
        )
        .done(),
        post(
            "/v1/peers/{name}/refresh",
            "Ask for the peer's routes once more",
        )
        .may_have("RefreshRequest")
        .is(One("RefreshStatus")),
        post(
            "/v1/stop",
            "End the daemon; answers when every neighbor has been told, or is being drained",
        )
        .may_have("Stop")
        .answers(
            200,
            One("WarningStatus"),
            "Done, but routes that were to stay have been withdrawn from some.",
        )
        .answers(202, One("StopStatus"), "It ends after that time.")
        .done(),
        post("/v1/drain", "Drain every peer, or some (RFC 8326)")
            .may_have("DrainRequest")
            .done_anyway(),
        post("/v1/undrain", "Let them have traffic again")
            .may_have("DrainRequest")
            .done(),
    ]
}
