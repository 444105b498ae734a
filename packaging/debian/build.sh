#!/bin/sh
# Builds the Debian package: needs cargo-deb (cargo install cargo-deb). Prints the path of the package.
set -e

cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-$PWD/target}
made=$target/release/package

cargo build --release --locked --package herald --bin herald
rm -rf "$made"
mkdir -p "$made/man" "$made/completions"
"$target/release/herald" man "$made/man"
for shell in bash zsh fish; do
    "$target/release/herald" completions $shell > "$made/completions/herald.$shell"
done
cargo deb --package herald --no-build
