#!/bin/sh
# Builds the Debian package: needs cargo-deb (cargo install cargo-deb). Prints the path of the package.
#
# The maintainer is who builds it: DEBEMAIL and DEBFULLNAME, as everywhere in Debian.
set -e

cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-$PWD/target}
made=$target/release/package
maintainer="${DEBFULLNAME:-The Herald developers} <${DEBEMAIL:-herald@localhost}>"

cargo build --release --locked --package herald --bin herald
rm -rf "$made"
mkdir -p "$made/man" "$made/completions"
"$target/release/herald" man "$made/man"
gzip --best --no-name "$made"/man/*.1
for shell in bash zsh fish; do
    "$target/release/herald" completions $shell > "$made/completions/herald.$shell"
done

version=$("$target/release/herald" --version | cut -d ' ' -f 2)
built=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
gzip --best --no-name > "$made/changelog.Debian.gz" <<END
herald ($version-1) unstable; urgency=medium

  * Built from the sources. What users see of a change is in changelog.gz.

 -- $maintainer  $(LC_ALL=C date --utc --rfc-email --date="@$built")
END

cargo deb --package herald --no-build --locked --maintainer "$maintainer" "$@"
