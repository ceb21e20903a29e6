# Both images of Fairlead: `--target operator` and `--target sidecar`. Each holds the base, the wheel and its locked dependencies.
ARG BASE=python:3.13-slim

# pip lives in an environment of its own, so that none of it is in the images.
FROM ${BASE} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
COPY requirements/build.txt /src/requirements/
RUN python3 -m venv /opt/build \
 && python3 -m venv --without-pip /opt/fairlead \
 && /opt/build/bin/pip install --require-hashes -r /src/requirements/build.txt

# Bytecode is written here because the root file system is read-only at run time; "unchecked" saves a look at every source file.
FROM builder AS application
COPY LICENSE README.md pyproject.toml /src/
COPY crds /src/crds
COPY client /src/client
COPY sidecar /src/sidecar
COPY operator /src/operator
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels /src \
 && /opt/build/bin/pip --python /opt/fairlead/bin/python install --no-deps --no-index --root /layer /wheels/*.whl \
 && python3 -m compileall -q --invalidation-mode unchecked-hash -s /layer -p / /layer

FROM builder AS operator-dependencies
COPY requirements/operator.txt /src/requirements/
RUN /opt/build/bin/pip --python /opt/fairlead/bin/python install --require-hashes -r /src/requirements/operator.txt \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/fairlead/lib

FROM builder AS sidecar-dependencies
COPY requirements/sidecar.txt /src/requirements/
RUN /opt/build/bin/pip --python /opt/fairlead/bin/python install --require-hashes -r /src/requirements/sidecar.txt \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/fairlead/lib

# Some bases come without the bytecode of the standard library.
FROM ${BASE} AS runtime
RUN python3 -m compileall -q "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /
USER 65532:65532

FROM runtime AS operator
COPY --from=operator-dependencies /opt/fairlead /opt/fairlead
COPY --from=application /layer/ /
ENTRYPOINT ["/opt/fairlead/bin/python", "-m", "fairlead_operator"]

FROM runtime AS sidecar
COPY --from=sidecar-dependencies /opt/fairlead /opt/fairlead
COPY --from=application /layer/ /
ENTRYPOINT ["/opt/fairlead/bin/python", "-m", "fairlead_sidecar"]
