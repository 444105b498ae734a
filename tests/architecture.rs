//! The rules of who may know whom, held as tests.

/// The engines know neither each other, nor the speaker, nor a runtime.
#[test]
fn engines_depend_on_nothing_above_them() {
    for (manifest, forbidden) in [
        (
            include_str!("../bgp/Cargo.toml"),
            ["tokio", "herald-bfd", "bfd ", "speaker", "socket2"].as_slice(),
        ),
        (
            include_str!("../bfd/Cargo.toml"),
            ["tokio", "herald-bgp", "bgp ", "speaker"].as_slice(),
        ),
    ] {
        let dependencies = manifest
            .split("[dependencies]")
            .nth(1)
            .expect("has dependencies");
        for name in forbidden {
            assert!(
                !dependencies.lines().any(|line| line.starts_with(name)),
                "must not depend on {name}"
            );
        }
    }
}
