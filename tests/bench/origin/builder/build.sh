#!/bin/sh

mkdir /app
git clone ${REPO} /build
cd /build
git archive ${REF} | tar xf - -C /app
python3 -m venv /app/env
/app/env/bin/pip install -r /app/requirements.txt
tar czf /shared/app.tar.gz -C / app
