#!/bin/sh
# Puts the smallest root that serves into /runtime, out of what Debian's packages have installed here: interpreter,
# standard library, the libraries of libraries.txt, certificates, time zones, one user. No shell and no tools.
# Arguments: what else goes in, each under its own path: programs and libraries with all that they are linked to, and
# folders of Python modules.
# Each stack with this interpreter holds the same copy of this file; a test compares them.
set -eu
umask 022
export LC_ALL=C PYTHONHASHSEED=0

HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=/runtime
STDLIB=/usr/lib/python3.13

# What no server needs: tests, windows, installers, the manual behind help(), settings of this machine.
UNUSED='config-3.13-* ensurepip idlelib lib2to3 pydoc_data sitecustomize.py test tkinter turtle.py turtledemo venv'
# Compiled modules that would bring a terminal's or a database's libraries, and the interpreter's own tests.
UNUSED_COMPILED='_ctypes_test _curses _curses_panel _dbm _gdbm _test* _tkinter _xxtestfuzz readline xx*'

fail() { printf 'assemble.sh: %s\n' "$*" >&2; exit 1; }

# ---- programs and libraries -------------------------------------------------------------------------------

# A file under its own path; what was a link to it becomes the file.
copy() {
    folder=$(realpath "$(dirname "$1")")
    mkdir -p "$ROOT$folder"
    cp -L --preserve=mode "$1" "$ROOT$folder/"
}

# A program or library with everything that it is linked to.
copy_linked() {
    copy "$1"
    linked=$(ldd "$1" 2>&1) || return 0 # not dynamic: the loader itself
    case $linked in *'not found'*) fail "$1 needs a library that is not installed: $linked" ;; esac
    for library in $(printf '%s\n' "$linked" | grep -o '/[^ ]*'); do
        [ -e "$ROOT$(realpath "$(dirname "$library")")/${library##*/}" ] || copy "$library"
    done
}

mkdir -p "$ROOT/usr/bin" "$ROOT/usr/lib" "$ROOT/usr/lib64" "$ROOT/etc"
for folder in bin lib lib64; do ln -s "usr/$folder" "$ROOT/$folder"; done

multiarch=$(python3 -c 'import sysconfig; print(sysconfig.get_config_var("MULTIARCH"))')
grep -v -e '^#' -e '^$' "$HERE/libraries.txt" | while read -r name; do
    [ -e "/usr/lib/$multiarch/$name" ] \
        || fail "libraries.txt names $name, which is not installed: add its Debian package to the Dockerfile."
    copy_linked "/usr/lib/$multiarch/$name"
done
for asked in /usr/bin/python3.13 "$@"; do [ -d "$asked" ] || copy_linked "$asked"; done
ln -s python3.13 "$ROOT/usr/bin/python3"

# ---- Python modules ---------------------------------------------------------------------------------------

# A folder of modules, compiled only: a start without compiling, for which a read-only root could keep nothing.
# Tracebacks still name file and line.
copy_modules() {
    mkdir -p "$ROOT$1"
    cp -r "$1/." "$ROOT$1"
    find "$ROOT$1" -name __pycache__ -prune -exec rm -r {} +
}

compile_modules() {
    python3 -m compileall -q -b -j 0 --invalidation-mode unchecked-hash -s "$ROOT" "$ROOT$1"
    find "$ROOT$1" -name '*.py' -delete
    find "$ROOT$1" -name '*.so' | while read -r module; do copy_linked "${module#"$ROOT"}"; done
}

copy_modules "$STDLIB"
for name in $UNUSED; do rm -rf "$ROOT$STDLIB"/$name; done
for name in $UNUSED_COMPILED; do rm -f "$ROOT$STDLIB"/lib-dynload/$name.cpython-*.so; done
compile_modules "$STDLIB"
# All in the one file that the interpreter looks for beside the folder, as in Python's embeddable package for Windows: 9 MB
# less, and a third of the files.
python3 - "$ROOT$STDLIB" "$ROOT/usr/lib/python313.zip" <<'PACK'
import pathlib, sys, zipfile
folder = pathlib.Path(sys.argv[1])
with zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
    for path in sorted(folder.rglob("*.pyc")):
        archive.writestr(zipfile.ZipInfo(path.relative_to(folder).as_posix()), path.read_bytes(), zipfile.ZIP_DEFLATED)
PACK
find "$ROOT$STDLIB" -mindepth 1 -maxdepth 1 ! -name lib-dynload -exec rm -r {} +

for asked in "$@"; do
    [ -d "$asked" ] || continue
    copy_modules "$asked"
    compile_modules "$asked"
done

# ---- what the system tells programs -----------------------------------------------------------------------

# Only the zones themselves: the folder also holds the same again as text, and maps.
mkdir -p "$ROOT/usr/share/zoneinfo"
cp -r /usr/share/zoneinfo/. "$ROOT/usr/share/zoneinfo"
(cd "$ROOT/usr/share/zoneinfo" && rm -rf localtime posix posixrules right ./*.tab ./*.zi leap*)

mkdir -p "$ROOT/etc/ssl/certs" "$ROOT/usr/lib/ssl"
cp /etc/ssl/openssl.cnf "$ROOT/etc/ssl/"
cp /etc/ssl/certs/ca-certificates.crt "$ROOT/etc/ssl/certs/"
for name in cert.pem certs openssl.cnf; do cp -P "/usr/lib/ssl/$name" "$ROOT/usr/lib/ssl/"; done

cat > "$ROOT/etc/passwd" <<'PASSWD'
root:x:0:0:root:/nonexistent:/nonexistent
app:x:10001:10001:app:/tmp:/nonexistent
nobody:x:65534:65534:nobody:/nonexistent:/nonexistent
PASSWD
cat > "$ROOT/etc/group" <<'GROUP'
root:x:0:
app:x:10001:
nogroup:x:65534:
GROUP
printf 'passwd: files\ngroup: files\nhosts: files dns\n' > "$ROOT/etc/nsswitch.conf"
cp /usr/lib/os-release "$ROOT/usr/lib/os-release"
ln -s ../usr/lib/os-release "$ROOT/etc/os-release"
install -d -m 1777 "$ROOT/tmp"
