#!/bin/sh
# Makes an application's environment; docs/stacks.md lists the variables and exit codes.
# By hand:     docker run --rm -e REPO=https://… -e REF=v1.0.0 -v "$PWD":/shared builder
#              makes /shared/app.tar.gz out of one ref of one repository.
# The portal:  sets no REPO, because it has put the files of the commit into /app beforehand, and sets MODE to an
#              installer: it takes the environment alone, in parts, out of /shared/parts.
# The same file lies in every stack's builder; what a stack has of its own stands in tools.sh, which is read below.
set -eu
umask 022
# One stream: the engine carries two independently, and the sentence that must come last might overtake the rest.
exec 2>&1

APP=/app
SHARED=/shared
REQUIREMENTS=${REQUIREMENTS:-requirements.txt}
DIRECTORY=${DIRECTORY:-app}
ENVIRONMENT=/environment.py
MODE=${MODE:-}
work=

say() { printf '%s\n' "$*"; }

# The last line of a failed build: what, where, and what to do.
fail() { code=$1; shift; say "$*"; exit "$code"; }

. /tools.sh

# A number that the kernel keeps for this container; `null` where it does not tell.
counter() { # file, and the name in its first column (empty: the file is the number)
    if [ ! -r "$1" ]; then echo null
    elif [ -z "$2" ]; then cat "$1"
    else awk -v name="$2" '$1 == name { n = $2 } END { print n == "" ? "null" : n }' "$1"
    fi
}

# Which limits were hit so far: at its limit a build may end well and yet leave something out.
read_limits() {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        memory_hits=$(counter /sys/fs/cgroup/memory.events max)
        oom_kills=$(counter /sys/fs/cgroup/memory.events oom_kill)
        pids_hits=$(counter /sys/fs/cgroup/pids.events max)
    else
        memory_hits=$(counter /sys/fs/cgroup/memory/memory.failcnt '')
        oom_kills=$(counter /sys/fs/cgroup/memory/memory.oom_control oom_kill)
        pids_hits=$(counter /sys/fs/cgroup/pids/pids.events max)
    fi
}

write_limits() {
    read_limits
    printf '{"memory_limit_hits": %s, "oom_kills": %s, "pids_limit_hits": %s}\n' \
        "$memory_hits" "$oom_kills" "$pids_hits" > "$SHARED/limits.json"
}

finish() {
    status=$?
    trap - EXIT
    [ -z "$work" ] || rm -rf "$work"
    rm -f "$SHARED/.app.tar.gz.part"
    [ ! -w "$SHARED" ] || write_limits
    exit "$status"
}

# ---- where things are -----------------------------------------------------------------------------------

[ -d "$SHARED" ] && [ -w "$SHARED" ] || fail 14 "/shared cannot be written: mount a folder that this user may write, as in -v \"\$PWD\":/shared."
[ -w "$APP" ] || fail 14 "/app cannot be written: run the builder as root or as 10001:10001."
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

# On the disk, not in /tmp: there a large package would count as memory. It is gone before anything is packed.
work=$(mktemp -d "$APP/.build-XXXXXX")
mkdir "$work/tmp" "$work/home"
export TMPDIR="$work/tmp"
[ -w "${HOME:-/nowhere}" ] || export HOME="$work/home"

if [ -z "${PIP_CERT:-}" ] && [ -r "$SHARED/ca-certificates.pem" ]; then
    for name in PIP_CERT SSL_CERT_FILE REQUESTS_CA_BUNDLE GIT_SSL_CAINFO; do
        export "$name=$SHARED/ca-certificates.pem"
    done
fi

[ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX="$PIP_INDEX_URL"

# ---- the source -----------------------------------------------------------------------------------------

# The ref is resolved once; afterwards only its 40 digits are used, so that a ref cannot pose as an option.
fetch_source() {
    [ -n "${REF:-}" ] || fail 2 "REF is not set: say which tag, branch or commit to build, as in -e REF=v1.0.0."
    # Configuration goes through a file: git does not hand its -c options on to the process that serves a local path.
    printf '[safe]\n\tdirectory = *\n[core]\n\thooksPath = /dev/null\n[http]\n\tlowSpeedLimit = 1000\n\tlowSpeedTime = 30\n' \
        > "$work/gitconfig"
    export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL="$work/gitconfig" GIT_TERMINAL_PROMPT=0 GIT_ASKPASS=/bin/false
    export GIT_ALLOW_PROTOCOL="${GIT_ALLOW_PROTOCOL:-https:http:ssh:git:file}"
    shown=$(printf '%s' "$REPO" | sed 's#//[^/@]*@#//***@#')

    say "\$ git clone --bare -- $shown"
    git clone --quiet --bare --template= -- "$REPO" "$work/source" \
        || fail 13 "The repository $shown cannot be cloned: see git's answer above, and check REPO."
    commit=$(git -C "$work/source" rev-parse --verify --quiet --end-of-options "$REF^{commit}") \
        || fail 13 "The repository $shown has no tag, branch or commit $REF: check REF."
    say "\$ git archive $commit"
    git -C "$work/source" archive --output="$work/source.tar" "$commit" \
        || fail 13 "The files of $REF ($commit) cannot be read from the repository: see git's answer above."
    tar xf "$work/source.tar" -C "$APP" --no-same-owner \
        || fail 13 "The files of $REF ($commit) cannot be unpacked: see tar's answer above."
    rm -rf "$work/source" "$work/source.tar"
}

if [ -n "${REPO:-}" ]; then
    fetch_source
elif [ -z "$(find "$APP" -mindepth 1 -maxdepth 1 ! -path "$work" -print -quit)" ]; then
    fail 2 "REPO is not set: say which repository to build, as in -e REPO=https://example.org/shop.git -e REF=v1.0.0."
fi

# ---- what the application promises ------------------------------------------------------------------------

cd "$APP"
requirements="$APP/$REQUIREMENTS"
[ -f "$requirements" ] && [ -r "$requirements" ] \
    || fail 10 "The repository has no requirements file $REQUIREMENTS: add it, or set REQUIREMENTS to where it lies."
[ -n "$MODE" ] || [ -d "$APP/$DIRECTORY" ] \
    || fail 15 "The repository has no folder $DIRECTORY for the application: add it, or set DIRECTORY to where it lies."
[ ! -e "$APP/env" ] \
    || fail 15 "The repository holds a file or folder named env, where the virtual environment must go: rename it."

# pip reads UTF-8, and UTF-16 and UTF-32 that begin with their mark; without the mark it would read nonsense.
python3 - "$requirements" <<'CHECK' || fail 10 "The requirements file $REQUIREMENTS is neither UTF-8 nor UTF-16 with a byte order mark: save it as UTF-8."
import codecs, sys
data = open(sys.argv[1], "rb").read()
marks = [(codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
         (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")]
encoding = next((name for mark, name in marks if data.startswith(mark)), "utf-8")
try:
    sys.exit("\0" in data.decode(encoding))
except UnicodeDecodeError:
    sys.exit(1)
CHECK

# ---- the environment --------------------------------------------------------------------------------------

fresh_env() {
    rm -rf "$APP/env"
    make_env || fail 16 "The virtual environment could not be made: see the lines above."
}

# Wheels alone: no code of any package runs. What uv cannot do ends with 20, and pip is asked next.
with_uv() {
    say "\$ uv pip compile $REQUIREMENTS"
    python3 -I "$ENVIRONMENT" lock "$requirements" "$work" || return $?
    python3 -I "$ENVIRONMENT" missing "$work" "$SHARED/known.json"
    fresh_env
    if [ -s "$work/missing.txt" ]; then
        say "\$ uv pip install $(wc -l < "$work/missing.txt") of $(wc -l < "$work/lock.txt") packages"
        uv --no-config --no-progress pip install --quiet --python "$APP/env/bin/python" --cache-dir "$work/uv" --no-deps \
            --require-hashes --only-binary :all: $(index_options) -r "$work/missing.txt" \
            || { say "uv could not install these packages."; return 20; }
        compile_env
    fi
}

# Where the requirement files say that packages come from, for what is installed from the lock.
index_options() {
    [ "${requirements##*/}" = pyproject.toml ] || grep -hoE '^(--(extra-)?index-url|--find-links)[ =][^ ]+|^-[if] [^ ]+|^--no-index' "$requirements" || true
}

# pip ends with 1 whatever went wrong; what it said tells the causes apart.
install() {
    say "\$ pip install -r $REQUIREMENTS"
    { pip_install 2>&1; echo $? > "$work/status"; } | tee "$work/pip.log"
    return "$(cat "$work/status")"
}

# The last error that pip named, without its head.
# ResolutionImpossible only names a page of pip's; the line before it says which packages cannot be had together.
pip_error() { grep '^ERROR: ' "$work/pip.log" | grep -v '^ERROR: ResolutionImpossible' | tail -n 1 | cut -c8-300; }

said() { grep -q "$@" "$work/pip.log"; }

explain_pip() { # pip's exit code
    read_limits
    if [ "$oom_kills" != null ] && [ "$oom_kills" -gt 0 ] || [ "$1" -eq 137 ]; then
        fail 18 "pip needed more memory than this build may use, and was ended: raise the memory limit."
    elif [ "$1" -gt 128 ]; then
        fail "$1" "pip was ended by signal $(($1 - 128)): start the build again."
    elif [ "$pids_hits" != null ] && [ "$pids_hits" -gt 0 ]; then
        fail 19 "pip needed more processes and threads at once than this build may have: raise the limit of processes."
    elif said -e 'No space left on device' -e 'File too large'; then
        fail 12 "pip could not write a file: the disk is full or the file is larger than the build's limit; see its lines above."
    elif said -e 'subprocess-exited-with-error' -e '^ *ERROR: Failed' -e '^ *ERROR: Command errored out'; then
        fail 12 "A package could not be built from its source, mostly because it does not compile here: $(pip_error)"
    elif said -e '^ *WARNING: Retrying' -e 'TLS CA certificate bundle'; then
        fail 17 "pip could not reach the package index: check the network, the index, the proxy and the CA bundle."
    elif said -e '^ERROR: No matching distribution' -e '^ERROR: Could not find a version' -e 'ResolutionImpossible' \
        -e '^ERROR: Cannot install' -e 'Invalid requirement' -e 'Could not open requirements file' \
        -e 'requires a different Python' -e 'is not a valid editable' -e 'is not a supported wheel' \
        -e 'does not appear to be a Python project' -e 'DO NOT MATCH THE HASHES' -e '^ERROR: Hash'; then
        fail 11 "The requirements in $REQUIREMENTS cannot be met: $(pip_error)"
    fi
    fail 12 "pip could not install the requirements in $REQUIREMENTS: $(pip_error)"
}

with_pip() {
    fresh_env
    pip_requirements="$REQUIREMENTS"
    [ "${REQUIREMENTS##*/}" != pyproject.toml ] || read_pyproject
    install || explain_pip $?
    compile_env
}

packed() { # environment.py's command and its arguments
    python3 -I "$ENVIRONMENT" "$@" || fail 14 "The environment could not be packed: see the lines above."
}

known() { # an installer
    case " $INSTALLERS " in *" $1 "*) ;; *) return 1 ;; esac
}

known "${MODE:-pip}" || fail 2 "MODE is $MODE, which this builder does not know: leave it out, or say one of: $INSTALLERS."
case "$MODE" in
uv)
    with_uv || exit $?
    packed split "$work" "$SHARED" "$SHARED/known.json"
    ;;
pip)
    with_pip
    packed whole "$SHARED" "$work/report.json"
    ;;
'')
    if ! known uv; then with_pip
    else with_uv || { [ $? -eq 20 ] || exit 1; with_pip; }
    fi
    ;;
esac
if [ -n "$MODE" ]; then
    say "The environment is ready: $(ls "$SHARED/parts" | wc -l) parts."
    exit 0
fi

# ---- the product ------------------------------------------------------------------------------------------

rm -rf "$work"
work=
# The image owns these files as root and serves as somebody else, so that an application cannot change itself.
say "\$ tar czf $SHARED/app.tar.gz -C / app"
tar czf "$SHARED/.app.tar.gz.part" --sort=name --owner=root:0 --group=root:0 --numeric-owner -C / app \
    || fail 14 "app.tar.gz could not be written: see tar's answer above; the disk may be full or the file larger than its limit."
# By hand as root, the file should belong to whoever owns the mounted folder.
chown --reference="$SHARED" "$SHARED/.app.tar.gz.part" 2>/dev/null || true
mv -f "$SHARED/.app.tar.gz.part" "$SHARED/app.tar.gz"
say "app.tar.gz is ready: $(stat -c %s "$SHARED/app.tar.gz") bytes."
