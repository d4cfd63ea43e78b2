# Building for other systems. Sourced by tests/cross; uses $directory, where all of it is put.

# Debian 12's rustc-web brings the source of the standard library instead of compiled targets, so that is built along.
compiler_packages=(rustc-web cargo-web rust-web-src gcc-mingw-w64-x86-64-win32)
windows=x86_64-pc-windows-gnu
macos=aarch64-apple-darwin

# cargo_for TARGET COMMAND [ARGUMENT...]
cargo_for() (
  target=$1 command=$2
  shift 2
  # Compiler, cargo and library source must be of one version: name Debian's outright, because rustup's stand-ins come
  # first in PATH and obey variables of their own. RUSTC_BOOTSTRAP is what lets a stable compiler build its library.
  unset RUSTUP_TOOLCHAIN RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET
  export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_UNSTABLE_BUILD_STD=std,panic_unwind
  # What debuggers need is most of the size and much of the time, and nobody debugs here.
  export CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0
  # A warning is a fault here as in the lints of other systems.
  export CARGO_UNSTABLE_WARNINGS=true CARGO_BUILD_WARNINGS=deny
  /usr/bin/cargo "$command" --locked --target "$target" --target-dir "$directory" "$@"
)

# Programs and tests at once: the tests' crates want more features of the others, and all would be built twice. The
# tests from outside are for Linux alone, but where they are built the programs are too.
wanted=(--lib --test mailknock --features windowless)

step_build() {
  cargo_for "$windows" test --no-run "${wanted[@]}"
  must_be_of "$built/mailknock.exe" 'Windows CUI'
  # From a menu it opens no console.
  must_be_of "$built/mailknockw.exe" 'Windows GUI'
}

# must_be_of PROGRAM SUBSYSTEM
must_be_of() {
  # Not -q: what stops reading early makes the other one fail.
  if ! x86_64-w64-mingw32-objdump -p "$1" | grep "^Subsystem.*($2)" >/dev/null; then
    echo "tests/cross: $1 is not there, or not of the subsystem $2" >&2
    return 1
  fi
}

step_unit() {
  begin_wine
  cargo_for "$windows" test "${wanted[@]}" --config "target.$windows.runner=['$PWD/tests/cross.d/wine']"
}

# A check needs no object code: stand-ins for the C compiler and the archiver get past the build scripts that want
# Apple's. DOCS_RS makes one leave its Objective-C out, and SDKROOT keeps others from asking for Apple's developer tools.
step_macos() {
  local stand_ins=$directory/stand-ins
  mkdir -p "$stand_ins"
  cat >"$stand_ins/cc" <<'SH'
#!/bin/sh
while [ $# -gt 0 ]; do
  [ "$1" != -o ] || { shift; : >"$1"; }
  shift
done
SH
  cat >"$stand_ins/ar" <<'SH'
#!/bin/sh
for word in "$@"; do
  case "$word" in *.a) printf '!<arch>\n' >"$word" ;; esac
done
SH
  chmod 755 "$stand_ins/cc" "$stand_ins/ar"
  CC_aarch64_apple_darwin=$stand_ins/cc AR_aarch64_apple_darwin=$stand_ins/ar SDKROOT=/ DOCS_RS=1 \
    cargo_for "$macos" check --all-targets
}
