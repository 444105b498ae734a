//! The body of a PUT: whatever is taken of it is kept in the state directory, and read from there as the same.
#![no_main]

use herald::additions::{RouteSpec, ServiceSpec};
use herald::config::{RouteConfig, ServiceConfig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    if let Ok(spec) = serde_json::from_slice::<ServiceSpec>(body)
        && let Ok(service) = ServiceConfig::try_from(&spec)
    {
        let kept = serde_json::to_vec(&ServiceSpec::from(&service)).expect("it is JSON");
        let read: ServiceSpec = serde_json::from_slice(&kept).expect("it was written");
        assert_eq!(ServiceConfig::try_from(&read), Ok(service));
    }
    if let Ok(spec) = serde_json::from_slice::<RouteSpec>(body)
        && let Ok(route) = RouteConfig::try_from(&spec)
    {
        let kept = serde_json::to_vec(&RouteSpec::from(&route)).expect("it is JSON");
        let read: RouteSpec = serde_json::from_slice(&kept).expect("it was written");
        assert_eq!(RouteConfig::try_from(&read), Ok(route));
    }
});
