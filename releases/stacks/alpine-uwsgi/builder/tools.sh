# What is this stack's own in build.sh, which reads this file: Python 3 with uv and pip.
# pip lies in /opt/pip, beside the environments that it fills.

INSTALLERS='uv pip'

# An environment at $APP/env with the interpreter and nothing else.
make_env() { python3 -m venv --without-pip "$APP/env"; }

# Checked by nothing, so that the same source has the same .pyc; and by an interpreter that runs no .pth file.
compile_env() {
    PYTHONHASHSEED=0 python3 -I -S -m compileall -q -j 2 --invalidation-mode unchecked-hash "$APP/env/lib" || true
}

# Installs what the file $pip_requirements names; leaves pip's report in $work/report.json.
pip_install() {
    PYTHONUNBUFFERED=1 "$APP/env/bin/python" /opt/pip/pip install --no-input --disable-pip-version-check --no-cache-dir \
        --progress-bar off --no-compile --report "$work/report.json" -r "$pip_requirements"
}

# What a pyproject.toml names, as a requirements file.
read_pyproject() {
    pip_requirements="$work/requirements.txt"
    if [ -f "$(dirname "$requirements")/uv.lock" ]; then
        uv --no-config --quiet export --frozen --no-emit-project --no-default-groups --cache-dir "$work/uv" \
            --project "$(dirname "$requirements")" --output-file "$pip_requirements" > /dev/null \
            || fail 11 "The requirements in $REQUIREMENTS cannot be met: uv.lock cannot be read; make it anew with uv lock."
    else
        python3 -c 'import sys, tomllib; print(*tomllib.load(open(sys.argv[1], "rb"))["project"].get("dependencies", []), sep="\n")' \
            "$requirements" > "$pip_requirements" 2> /dev/null \
            || fail 11 "The requirements in $REQUIREMENTS cannot be met: it is no TOML with a table [project]."
    fi
}
