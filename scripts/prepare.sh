# Sourced by scripts/audit and scripts/test, after `root` is set: what has to
# be in place before cargo runs.

stage() {
    printf 'scripts/%s: %s\n' "${0##*/}" "$1" >&2
}

prepare() {
    if ! command -v cargo >/dev/null; then
        stage "cargo is not found, and Rust 1.95 or newer is needed; install it through rustup or your package manager."
        exit 2
    fi
    # An empty LIBTORCH would hide the one that .cargo/config.toml sets.
    if [[ -z ${LIBTORCH:-} ]]; then
        unset LIBTORCH
    fi
    stage "libtorch"
    "$root/scripts/libtorch"
}
