# What is this stack's own in build.sh, which reads this file: Python 2.7, whose last pip lies in /opt/tools with
# setuptools and wheel, beside the environments that it fills.

INSTALLERS=pip

# An environment at $APP/env with the interpreter and nothing else: virtualenv made it when this image was made.
make_env() { cp -R /opt/env "$APP/env"; }

# Python 2 checks .pyc files by the time of their source: that is the one time that everything here gets when it is
# packed. Compiled by an interpreter that runs no .pth file.
compile_env() {
    find "$APP/env" -exec touch -h -d @315532800 {} +
    PYTHONHASHSEED=0 /usr/bin/python2.7 -E -S -m compileall -q -f "$APP/env/lib" || true
    find "$APP/env" -exec touch -h -d @315532800 {} +
}

# Installs what the file $pip_requirements names; leaves a report in $work/report.json, as later versions of pip do.
# First all becomes wheels, out of just those files whose sha256 the report holds; then these wheels alone are installed.
pip_install() {
    export PYTHONUNBUFFERED=1
    /opt/tools/bin/python /pip_report.py "$work/report.json" wheel --no-input --disable-pip-version-check \
        --no-python-version-warning --no-cache-dir --progress-bar off --wheel-dir "$work/wheels" -r "$pip_requirements" \
        || return $?
    # By name and not by path: a path would be noted in the environment. Without the surroundings' settings, which say
    # how the wheels are got and no more.
    ls "$work/wheels" | sed 's/^\([^-]*\)-\([^-]*\)-.*/\1==\2/' > "$work/wheels.txt"
    "$APP/env/bin/python" /opt/tools/lib/python2.7/site-packages/pip install --isolated --quiet --no-input \
        --disable-pip-version-check --no-python-version-warning --no-cache-dir --no-compile --no-index --no-deps \
        --ignore-installed --only-binary :all: --find-links "$work/wheels" -r "$work/wheels.txt"
}

read_pyproject() {
    fail 11 "The requirements in $REQUIREMENTS cannot be met: this stack's pip reads requirements files alone; name one in REQUIREMENTS."
}
