#!/bin/sh
# Puts the smallest root that serves into /runtime, out of what Debian's packages have installed here: interpreter,
# standard library, the libraries of libraries.txt, certificates, time zones, one user. No shell and no tools.
# Arguments: programs and libraries that go in, too, each under its own path with all that they are linked to.
set -eu
umask 022
export LC_ALL=C PYTHONHASHSEED=0

HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=/runtime
STDLIB=/usr/lib/python2.7

# What no server needs: tests, windows, installers, the manual behind help(), settings of this machine.
UNUSED='config-* dist-packages ensurepip idlelib lib2to3 lib-tk pydoc_data sitecustomize.py* test */test */tests'
# Compiled modules that would bring a terminal's, a sound card's or a database's libraries, and the interpreter's own tests.
UNUSED_COMPILED='_bsddb _ctypes_test _curses _curses_panel _testcapi dbm linuxaudiodev nis ossaudiodev readline'

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

multiarch=$(gcc -print-multiarch)
grep -v -e '^#' -e '^$' "$HERE/libraries.txt" | while read -r name; do
    found=$(ls "/usr/lib/$multiarch/$name" "/lib/$multiarch/$name" 2>/dev/null | head -n 1)
    [ -n "$found" ] || fail "libraries.txt names $name, which is not installed: add its Debian package to the Dockerfile."
    copy_linked "$found"
done
for asked in /usr/bin/python2.7 "$@"; do copy_linked "$asked"; done
ln -s python2.7 "$ROOT/usr/bin/python2"

# ---- Python modules ---------------------------------------------------------------------------------------

mkdir -p "$ROOT$STDLIB"
cp -r "$STDLIB/." "$ROOT$STDLIB"
for name in $UNUSED; do rm -rf "$ROOT$STDLIB"/$name; done
for name in $UNUSED_COMPILED; do rm -f "$ROOT$STDLIB"/lib-dynload/$name.*so; done
for module in "$ROOT$STDLIB"/lib-dynload/*.so; do copy_linked "${module#"$ROOT"}"; done

# Compiled only: a start without compiling, for which a read-only root could keep nothing. Tracebacks still name file and
# line. Then without the times of sources that are not there: the same source gives the same bytes.
find "$ROOT$STDLIB" -name '*.pyc' -delete
python2.7 -m compileall -q -f -d "$STDLIB" "$ROOT$STDLIB" > /dev/null
find "$ROOT$STDLIB" -name '*.py' -delete
python3 - "$ROOT$STDLIB" <<'TIMES'
import pathlib, sys
for path in pathlib.Path(sys.argv[1]).rglob("*.pyc"):
    with path.open("r+b") as file:
        file.seek(4)
        file.write(bytes(4))
TIMES

# ---- what the system tells programs -----------------------------------------------------------------------

# Only the zones themselves: the folder also holds the same again as text, and maps.
mkdir -p "$ROOT/usr/share/zoneinfo"
cp -r /usr/share/zoneinfo/. "$ROOT/usr/share/zoneinfo"
(cd "$ROOT/usr/share/zoneinfo" && rm -rf localtime posix posixrules right ./*.tab ./*.zi leap*)

mkdir -p "$ROOT/etc/ssl/certs" "$ROOT/usr/lib/ssl"
cp /etc/ssl/openssl.cnf "$ROOT/etc/ssl/"
cp /etc/ssl/certs/ca-certificates.crt "$ROOT/etc/ssl/certs/"
for name in certs openssl.cnf; do cp -P "/usr/lib/ssl/$name" "$ROOT/usr/lib/ssl/"; done

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
