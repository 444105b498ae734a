//! What can be asked.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::array::Array;
use super::capture::{Files, captured};
use super::events::{FOLLOWERS, events};
use super::lease::Lease;
use super::naming;
use super::openapi;
use super::page;
use super::problem::Problem;
use super::request::{Answer, Body, MAX_BODY, Options, Segment, invalid, named, parsed, prefixed};
use crate::additions::{RouteSpec, ServiceSpec};
use crate::config::{OnExit, PeerName, RouteConfig, ServiceConfig, ServiceName};
use crate::control::{Control, Lasting, Refusal, Snapshot, Stopping, Stored};
use crate::metrics;
use crate::privileges::Privileges;
use crate::status::{
    BfdStatus, DaemonStatus, GivenStatus, PeerStatus, PoolStatus, ReceivedRouteStatus,
    ReloadStatus, RouteDetailStatus, RouteQuery, ServiceStatus, StoredStatus,
};

/// What handlers know.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) control: Control,
    file: Arc<PathBuf>,
    /// Whether programs are shown with their arguments: not to everybody who reaches a TCP port.
    shows_arguments: bool,
    /// Places for those who follow the events.
    pub(super) followers: Arc<Semaphore>,
    /// Places for captures.
    pub(super) files: Files,
}

impl Context {
    fn new(control: Control, file: PathBuf, shows_arguments: bool) -> Self {
        Self {
            control,
            file: Arc::new(file),
            shows_arguments,
            followers: Arc::new(Semaphore::new(FOLLOWERS)),
            files: Files::default(),
        }
    }
}

/// Paths, and who answers there.
type Paths = Vec<(&'static str, MethodRouter<Context>)>;

/// What changes something, which only [`control`] serves.
fn controls() -> Paths {
    vec![
        (
            "/v1/services/{name}",
            put(put_service).delete(delete_service),
        ),
        ("/v1/routes/{prefix}", put(put_route).delete(delete_route)),
        ("/v1/reload", post(reload)),
        ("/v1/peers/{name}/reset", post(reset_peer)),
        ("/v1/peers/{name}/shutdown", post(shut_down_peer)),
        ("/v1/peers/{name}/enable", post(enable_peer)),
        ("/v1/peers/{name}/refresh", post(refresh_peer)),
        ("/v1/drain", post(drain)),
        ("/v1/undrain", post(undrain)),
        ("/v1/stop", post(stop)),
    ]
}

/// What changes nothing. `openapi.json` describes all of both.
fn views() -> Paths {
    vec![
        ("/", get(overview)),
        ("/metrics", get(scrape)),
        ("/healthz", get(healthy)),
        ("/readyz", get(ready)),
        ("/v1/openapi.json", get(description)),
        ("/v1/status", get(status)),
        ("/v1/config", get(config)),
        ("/v1/peers", get(peers)),
        ("/v1/peers/{name}", get(peer)),
        ("/v1/peers/{name}/advertised", get(advertised)),
        ("/v1/peers/{name}/received", get(received)),
        ("/v1/peers/{name}/capture", get(captured)),
        ("/v1/bfd", get(bfd)),
        ("/v1/bfd/{name}", get(bfd_session)),
        ("/v1/routes", get(routes)),
        ("/v1/routes/{prefix}", get(route)),
        ("/v1/services", get(services)),
        ("/v1/services/{name}", get(service)),
        ("/v1/pools", get(pools)),
        ("/v1/events", get(events)),
    ]
}

/// Every path there is, with the names of its parameters in braces.
#[must_use]
pub fn paths() -> Vec<&'static str> {
    let all = views().into_iter().chain(controls());
    let mut paths: Vec<_> = all.map(|(path, _)| path).collect();
    paths.sort_unstable();
    paths.dedup();
    paths
}

fn router(paths: Paths) -> Router<Context> {
    let paths = paths.into_iter();
    paths.fold(Router::new(), |router, (path, answering)| {
        router.route(path, answering)
    })
}

/// Everything, for the Unix socket. `file` is the configuration file, to name it.
pub fn control(control: Control, file: PathBuf) -> Router {
    router(views())
        .merge(router(controls()))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_this_way)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Context::new(control, file, true))
}

/// What changes nothing, for TCP.
pub fn viewing(control: Control, file: PathBuf) -> Router {
    let is_view = |path: &str| views().iter().any(|(view, _)| *view == path);
    let controls = controls().into_iter().filter(|(path, _)| !is_view(path));
    let refusing = controls.map(|(path, _)| (path, any(not_here_at_all)));
    router(views())
        .merge(router(refusing.collect()))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_here)
        .layer(DefaultBodyLimit::max(0))
        .with_state(Context::new(control, file, false))
}

/// All of this, for programs.
async fn description() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], openapi::TEXT)
}

/// `GET /v1/config`: what is in force, defaults applied, as a configuration file.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ConfigStatus {
    /// Where it was read.
    pub(crate) file: PathBuf,
    /// As TOML.
    pub(crate) running: String,
}

/// `POST /v1/peers/NAME/reset` and `POST /v1/peers/NAME/shutdown`: a text for the neighbor's
/// operator (RFC 9003).
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Farewell {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) communication: Option<String>,
}

/// `POST /v1/drain` and `POST /v1/undrain`
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct DrainRequest {
    /// Only these; none: every peer.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) peers: BTreeSet<PeerName>,
}

/// The answer to `POST /v1/stop` where neighbors are drained before they are told.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct StopStatus {
    /// For so long.
    pub(crate) draining_ms: u64,
}

/// The answer to what is done, and has another side to it.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct WarningStatus {
    /// What that is: that it is not kept, or not by everybody, and why.
    pub(crate) warning: String,
}

/// `POST /v1/stop`
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Stop {
    /// What becomes of the routes; absent: what `on-exit` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) how: Option<Exit>,
    /// For the neighbors' operators (RFC 9003).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) communication: Option<String>,
}

/// As `on-exit` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Exit {
    Withdraw,
    Restart,
}

async fn snapshot(context: &Context) -> Answer<Snapshot> {
    Ok(context.control.snapshot().await?)
}

async fn overview(State(context): State<Context>) -> Answer<impl IntoResponse> {
    let snapshot = snapshot(&context).await?;
    let advertised = context.control.advertised(&snapshot).await;
    // It needs no script, so that none can be smuggled in.
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    let headers = [(header::CONTENT_SECURITY_POLICY, policy)];
    Ok((headers, Html(page::render(&snapshot, &advertised))))
}

async fn scrape(
    State(context): State<Context>,
    Extension(lease): Extension<Lease>,
    headers: HeaderMap,
) -> Answer<Response> {
    let accept = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
    let format = metrics::Format::accepted(accept.unwrap_or_default());
    let snapshot = snapshot(&context).await?;
    let advertised = context.control.advertised(&snapshot).await;
    let text = metrics::render(&snapshot, &advertised, lease.metrics(), format);
    let headers = [
        (header::CONTENT_TYPE, format.content_type()),
        (header::VARY, "accept"),
    ];
    Ok((headers, text).into_response())
}

/// The speaker task and the threads of BGP and BFD answer.
async fn healthy(State(context): State<Context>) -> Answer<&'static str> {
    context.control.vitals().await?;
    Ok("ok\n")
}

/// Every enabled peer has what it is to have; without peers there is nothing to wait for.
async fn ready(State(context): State<Context>) -> Answer<&'static str> {
    let peers = snapshot(&context).await?.peers();
    let mut waiting = peers
        .iter()
        .filter(|peer| peer.is_to_run() && peer.state != "Established");
    let enabled = peers.iter().filter(|peer| peer.is_to_run()).count();
    match waiting.next() {
        // One router that is down must not take the host out of service.
        Some(first) if waiting.count() + 1 == enabled => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "no BGP session is established; peer {} is {}",
                first.name, first.state
            ),
        )),
        _ => Ok("ok\n"),
    }
}

async fn status(State(context): State<Context>) -> Answer<Json<DaemonStatus>> {
    let snapshot = snapshot(&context).await?;
    // Asked of the system where it is shown: it may take files, and nobody else is to wait for those.
    let privileges = Privileges::here(Arc::clone(&snapshot.config), context.file).await;
    let privileges = privileges.map_err(|error| Refusal::Failed(error.to_string()))?;
    Ok(Json(DaemonStatus::new(&snapshot, &privileges)))
}

async fn config(State(context): State<Context>) -> Answer<Json<ConfigStatus>> {
    let config = context.control.config().await?;
    Ok(Json(ConfigStatus {
        file: context.file.as_ref().clone(),
        running: match context.shows_arguments {
            true => config.to_toml(),
            false => config.to_toml_without_arguments(),
        },
    }))
}

async fn peers(State(context): State<Context>) -> Answer<Json<Vec<PeerStatus>>> {
    Ok(Json(snapshot(&context).await?.peers()))
}

async fn peer(State(context): State<Context>, Segment(name): Segment) -> Answer<Json<PeerStatus>> {
    let snapshot = snapshot(&context).await?;
    let name = naming::peer_or_name(&snapshot.config, &name)?;
    let status = snapshot.peer(&name).map(Json);
    status.ok_or_else(|| snapshot.unknown_peer(name.as_str()).into())
}

/// An element is an `AdvertisedRouteStatus`.
async fn advertised(State(context): State<Context>, Segment(name): Segment) -> Answer<Response> {
    let snapshot = snapshot(&context).await?;
    let name = naming::peer(&snapshot.config, &name)?;
    let routes = context.control.advertised_to(&name).await;
    let (mut array, answer) = Array::new();
    tokio::spawn(async move {
        for route in snapshot.advertised(&name, &routes) {
            array.push(&route).await?;
        }
        array.finish().await;
        Some(())
    });
    Ok(answer)
}

/// An element is a `ReceivedRouteStatus`.
async fn received(State(context): State<Context>, Segment(name): Segment) -> Answer<Response> {
    let name = naming::peer(&*context.control.config().await?, &name)?;
    let routes = context.control.received_routes(&name).await?;
    let (mut array, answer) = Array::new();
    tokio::spawn(async move {
        for route in &routes {
            array.push(&ReceivedRouteStatus::from(route)).await?;
        }
        array.finish().await;
        Some(())
    });
    Ok(answer)
}

async fn bfd(State(context): State<Context>) -> Answer<Json<Vec<BfdStatus>>> {
    Ok(Json(snapshot(&context).await?.bfd()))
}

async fn bfd_session(
    State(context): State<Context>,
    Segment(name): Segment,
) -> Answer<Json<BfdStatus>> {
    let snapshot = snapshot(&context).await?;
    let name = naming::bfd_session(&snapshot.config, &name);
    Ok(Json(snapshot.bfd_of(name)?))
}

/// An element is a `RouteStatus`.
async fn routes(State(context): State<Context>) -> Answer<Response> {
    let snapshot = snapshot(&context).await?;
    let advertised = context.control.advertised(&snapshot).await;
    let (mut array, answer) = Array::new();
    tokio::spawn(async move {
        for route in snapshot.routes(&advertised) {
            array.push(&route).await?;
        }
        array.finish().await;
        Some(())
    });
    Ok(answer)
}

/// By its prefix, or by an address in it.
async fn route(
    State(context): State<Context>,
    Segment(text): Segment,
) -> Answer<Json<RouteDetailStatus>> {
    let query = RouteQuery::parse(&text)
        .map_err(|expected| invalid(format!("prefix: found {text:?}; must be {expected}")))?;
    let snapshot = snapshot(&context).await?;
    let advertised = context.control.advertised(&snapshot).await;
    Ok(Json(snapshot.route_of(query, &advertised)?))
}

async fn service(
    State(context): State<Context>,
    Segment(name): Segment,
) -> Answer<Json<ServiceStatus>> {
    let snapshot = snapshot(&context).await?;
    let advertised = context.control.advertised(&snapshot).await;
    Ok(Json(snapshot.service(&name, &advertised)?))
}

async fn services(State(context): State<Context>) -> Answer<Json<Vec<ServiceStatus>>> {
    let snapshot = snapshot(&context).await?;
    let advertised = context.control.advertised(&snapshot).await;
    Ok(Json(snapshot.services(&advertised)))
}

async fn pools(State(context): State<Context>) -> Answer<Json<Vec<PoolStatus>>> {
    Ok(Json(snapshot(&context).await?.pool_statuses()))
}

async fn put_service(
    State(context): State<Context>,
    Segment(name): Segment,
    Body(body): Body,
) -> Answer<(StatusCode, Json<GivenStatus>)> {
    let name: ServiceName = named(&name)?;
    let spec: ServiceSpec = match body.is_empty() {
        true => ServiceSpec::default(),
        false => parsed(&body)?,
    };
    let service = ServiceConfig::try_from(&spec).map_err(invalid)?;
    let (stored, given) = context.control.put_service(name, service).await?;
    Ok((code(&stored), Json(GivenStatus::new(stored, &given))))
}

async fn delete_service(
    State(context): State<Context>,
    Segment(name): Segment,
) -> Answer<Response> {
    Ok(done(context.control.delete_service(named(&name)?).await?))
}

async fn put_route(
    State(context): State<Context>,
    Segment(prefix): Segment,
    Body(body): Body,
) -> Answer<(StatusCode, Json<StoredStatus>)> {
    let spec: RouteSpec = if body.is_empty() {
        RouteSpec::default()
    } else {
        parsed(&body)?
    };
    let mut route = RouteConfig::try_from(&spec).map_err(invalid)?;
    if let Some(peers) = route.peers {
        route.peers = Some(meant(&context, peers).await?);
    }
    let stored = context.control.put_route(prefixed(&prefix)?, route).await?;
    Ok((code(&stored), Json(stored.into())))
}

async fn delete_route(
    State(context): State<Context>,
    Segment(prefix): Segment,
) -> Answer<Response> {
    let lasting = context.control.delete_route(prefixed(&prefix)?).await?;
    Ok(done(lasting))
}

async fn reset_peer(
    State(context): State<Context>,
    Segment(name): Segment,
    Body(body): Body,
) -> Answer<StatusCode> {
    let communication = farewell(&body)?;
    context
        .control
        .reset_peer(acted_on(&context, &name).await?, communication)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn shut_down_peer(
    State(context): State<Context>,
    Segment(name): Segment,
    Body(body): Body,
) -> Answer<Response> {
    let communication = farewell(&body)?;
    let name = acted_on(&context, &name).await?;
    let lasting = context.control.shut_down_peer(name, communication).await?;
    Ok(done(lasting))
}

async fn enable_peer(State(context): State<Context>, Segment(name): Segment) -> Answer<StatusCode> {
    let name = acted_on(&context, &name).await?;
    context.control.enable_peer(name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/peers/NAME/refresh`: of which family; of all, if none is said.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) family: Option<String>,
}

/// The answer: of which families.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct RefreshStatus {
    pub(crate) families: Vec<String>,
}

async fn refresh_peer(
    State(context): State<Context>,
    Segment(name): Segment,
    Body(body): Body,
) -> Answer<Json<RefreshStatus>> {
    let RefreshRequest { family } = match body.is_empty() {
        true => RefreshRequest::default(),
        false => parsed(&body)?,
    };
    let family = family.map(|text| {
        let family = text.parse::<bgp::Family>();
        family.map_err(|_| {
            invalid(format!(
                "family: found {text:?}; must be \"ipv4-unicast\" or \"ipv6-unicast\""
            ))
        })
    });
    let name = acted_on(&context, &name).await?;
    let families = context
        .control
        .refresh_peer(&name, family.transpose()?)
        .await?;
    let families = families.iter().map(ToString::to_string).collect();
    Ok(Json(RefreshStatus { families }))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReloadOptions {
    #[serde(default, rename = "dry-run")]
    dry_run: bool,
}

async fn reload(
    State(context): State<Context>,
    Options(ReloadOptions { dry_run }): Options<ReloadOptions>,
) -> Answer<Json<ReloadStatus>> {
    let reloaded = context.control.reload(dry_run).await?;
    Ok(Json(ReloadStatus::new(&context.file, dry_run, &reloaded)))
}

async fn drain(State(context): State<Context>, Body(body): Body) -> Answer<Response> {
    Ok(done(
        context
            .control
            .drain(drained(&context, &body).await?)
            .await?,
    ))
}

async fn undrain(State(context): State<Context>, Body(body): Body) -> Answer<StatusCode> {
    let peers = drained(&context, &body).await?;
    context.control.undrain(peers).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn drained(context: &Context, body: &[u8]) -> Answer<BTreeSet<PeerName>> {
    if body.is_empty() {
        return Ok(BTreeSet::new());
    }
    let DrainRequest { peers } = parsed(body)?;
    meant(context, peers).await
}

/// The peer that something is to be done to.
async fn acted_on(context: &Context, text: &str) -> Answer<PeerName> {
    naming::peer_or_name(&*context.control.config().await?, text)
}

/// The names of those who are called so.
async fn meant(context: &Context, peers: BTreeSet<PeerName>) -> Answer<BTreeSet<PeerName>> {
    let config = context.control.config().await?;
    let peers = peers.iter();
    peers
        .map(|peer| naming::peer_or_name(&config, peer.as_str()))
        .collect()
}

/// Answers when every neighbor has been told, or when it has begun to drain them.
async fn stop(State(context): State<Context>, Body(body): Body) -> Answer<Response> {
    let Stop { how, communication } = match body.is_empty() {
        true => Stop::default(),
        false => parsed(&body)?,
    };
    let how = how.map(|how| match how {
        Exit::Withdraw => OnExit::Withdraw,
        Exit::Restart => OnExit::Restart,
    });
    let communication = communication.map(bounded).transpose()?;
    Ok(match context.control.stop(how, communication).await? {
        Stopping::Done { losing } if losing.is_empty() => StatusCode::NO_CONTENT.into_response(),
        Stopping::Done { losing } => {
            let names: Vec<&str> = losing.iter().map(PeerName::as_str).collect();
            let warning = format!(
                "our routes are withdrawn from {}: no graceful-restart is negotiated",
                names.join(", ")
            );
            Json(WarningStatus { warning }).into_response()
        }
        Stopping::After(drain) => {
            let draining_ms = u64::try_from(drain.as_millis()).unwrap_or(u64::MAX);
            (StatusCode::ACCEPTED, Json(StopStatus { draining_ms })).into_response()
        }
    })
}

async fn nothing_here(uri: Uri) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        format!(
            "there is nothing at {}; /v1/openapi.json describes what there is",
            uri.path()
        ),
    )
}

async fn not_this_way(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not possible at {}", uri.path()),
    )
}

async fn not_here(method: Method, uri: Uri) -> Problem {
    let Problem { detail, .. } = not_this_way(method, uri).await;
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{detail}: over TCP everything is read-only, control is at the Unix socket"),
    )
}

/// RFC 9110 §15.5.6: whoever answers 405 says what is possible, and here that is nothing.
async fn not_here_at_all(method: Method, uri: Uri) -> impl IntoResponse {
    ([(header::ALLOW, "")], not_here(method, uri).await)
}

/// 204, unless there is something to say.
fn done(lasting: Lasting) -> Response {
    match lasting {
        Lasting::Kept => StatusCode::NO_CONTENT.into_response(),
        Lasting::Unkept(warning) => Json(WarningStatus { warning }).into_response(),
    }
}

fn code(stored: &Stored) -> StatusCode {
    match stored {
        Stored::Created => StatusCode::CREATED,
        Stored::Replaced(_) | Stored::Unchanged => StatusCode::OK,
    }
}

/// RFC 9003 §2: at most 255 octets.
fn farewell(body: &[u8]) -> Answer<Option<String>> {
    if body.is_empty() {
        return Ok(None);
    }
    let Farewell { communication } = parsed(body)?;
    communication.map(bounded).transpose()
}

fn bounded(communication: String) -> Answer<String> {
    match communication.len() {
        0..=255 => Ok(communication),
        octets => Err(invalid(format!(
            "communication: found {octets} octets; must be at most 255 (RFC 9003)"
        ))),
    }
}
